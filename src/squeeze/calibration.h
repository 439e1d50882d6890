/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration: an observer that gathers the means, and over texts the moments, of what linears
 * read, and after each stage chooses the integers and the biases of its linears. */
#ifndef SQZI_CALIBRATION_H
#define SQZI_CALIBRATION_H

#include "squeeze/bias_correction.h"
#include "squeeze/observe.h"

/* Find every b', over texts after choosing the integers of every tensor. The plan has been
 * measured. SQZ_ENUMERIC, SQZ_ENOMEM, SQZ_ECANCELLED. */
SQZ_NODISCARD sqz_status sqzi_calibrate(sqzi_bias_corrections *corrections,
                                        const sqzi_sequences *sequences,
                                        const sqz_quantize_options *options, sqz_error *error);

#endif
