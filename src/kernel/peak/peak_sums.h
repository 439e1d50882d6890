/* SPDX-License-Identifier: Apache-2.0 */
/* How many sums a loop of peak_template.h steps: enough to cover the latency of two or four units,
 * and no more than stay in registers. */
#ifndef SQZK_PEAK_SUMS_H
#define SQZK_PEAK_SUMS_H

#include <stdint.h>

#define PEAK_SUMS_12(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PEAK_SUMS_24(X)                                                                            \
    PEAK_SUMS_12(X) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)

#endif
