/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of profiles, and of what is asked to take so long. Nothing else reads it. */
#ifndef SQZI_CLOCK_H
#define SQZI_CLOCK_H

#include <stdint.h>

/* Nanoseconds of a clock that only goes forward, from a start of its own. */
uint64_t sqzi_clock_ns(void);

#endif
