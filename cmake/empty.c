/* SPDX-License-Identifier: Apache-2.0 */
/* A shared library needs a source of its own; its content comes from the archives. */
typedef int sqzi_nothing_here;
