/* SPDX-License-Identifier: Apache-2.0 */
/* The quota of a cgroup, apart from sqz_cpu_count so that tests can lay out files for it. */
#ifndef SQZI_CPU_COUNT_H
#define SQZI_CPU_COUNT_H

#include <stdint.h>

/* CPUs that a text "QUOTA PERIOD" allows: their quotient, as in cpu.max. 0 where it sets no limit:
 * "max 100000", "-1 100000", not two numbers above 0. */
double sqzi_quota_cpus(const char *text);

/* The least that the cgroup of a process, and those above it, allow; 0 where none has a quota.
 *
 *   membership   "/proc/self/cgroup": lines ID:CONTROLLERS:PATH. Where it cannot be read the root
 *                alone counts
 *   root         "/sys/fs/cgroup": version 2 has PATH/cpu.max there, version 1
 *                cpu/PATH/cpu.cfs_quota_us and cpu.cfs_period_us
 *
 * A container may see only its own part of the tree at the root while its PATH is the host's: what
 * is not there is passed over on the way up.
 */
double sqzi_cgroup_cpus(const char *membership, const char *root);

/* The threads that so many CPUs are worth: rounded up, UINT32_MAX at most. */
uint32_t sqzi_whole_cpus(double cpus);

#endif
