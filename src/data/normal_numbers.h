/* SPDX-License-Identifier: Apache-2.0 */
/* What new weights begin with. */
#ifndef SQZI_NORMAL_NUMBERS_H
#define SQZI_NORMAL_NUMBERS_H

#include <stdint.h>

/* Number i of a stream of a seed: normal with mean 0 (Box and Muller), a function of its place,
 * independent of all others. */
double sqzi_normal_number(double deviation, uint64_t seed, uint64_t stream, uint64_t i);

#endif
