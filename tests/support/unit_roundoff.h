/* SPDX-License-Identifier: Apache-2.0 */
/* What one operation on reals may be off by, relative to its result: half a unit of the last
 * place, of float or, in the double build, of double. */
#ifndef SQZT_UNIT_ROUNDOFF_H
#define SQZT_UNIT_ROUNDOFF_H

#include "base/real.h"

#ifdef SQZI_DOUBLE
#define SQZT_UNIT_ROUNDOFF 0x1p-53
#else
#define SQZT_UNIT_ROUNDOFF 0x1p-24
#endif

#endif
