/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of profiles. Nothing reads it unless a caller asked for a profile. */
#ifndef SQZI_CLOCK_H
#define SQZI_CLOCK_H

#include <stdint.h>

/* Nanoseconds of a clock that only goes forward, from a start of its own. */
uint64_t sqzi_clock_ns(void);

#endif
