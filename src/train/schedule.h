/* SPDX-License-Identifier: Apache-2.0 */
/* How large a step is: a factor of the recipe's rate. */
#ifndef SQZI_SCHEDULE_H
#define SQZI_SCHEDULE_H

#include <squeezebert/train.h>

/* floor(share * steps), 0 where share < 0. */
uint64_t sqzi_warmup_steps(double share, uint64_t steps);

/* f(s) of train.h for s = 0 .. steps - 1, after `warmup` steps; what comes after the end is 0, or 1
 * of a constant schedule. */
double sqzi_schedule_at(sqz_schedule schedule, uint64_t s, uint64_t warmup, uint64_t steps);

#endif
