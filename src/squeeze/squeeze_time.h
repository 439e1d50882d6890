/* SPDX-License-Identifier: Apache-2.0 */
/* The time of a squeeze: what its base takes, what shapes of blocks take, and what the new file
 * takes once there is one. */
#ifndef SQZI_SQUEEZE_TIME_H
#define SQZI_SQUEEZE_TIME_H

#include "squeeze/squeeze_budget.h"

typedef struct sqzi_squeeze_time {
    sqzi_time_table table;
    double base_ns;       /* of the model, no lever taken, in the type of the new file's blocks */
    double forecast_ns;   /* of the plan that was chosen */
    bool cached, useless; /* every table was found; a file was there and was made anew */
    double measured[2];   /* nanoseconds of base and new file; 0 until they were measured */
} sqzi_squeeze_time;

/* What the options ask for, in their place or none: SQZ_EINVAL as sqzi_timed_shape. */
SQZ_NODISCARD sqz_status sqzi_squeeze_time_check(const sqz_model *model,
                                                 const sqz_squeeze_options *options,
                                                 sqz_error *error);

/* The table for every setting that task's options leave open in a plan by hand, and the base. Sets
 * task->times, time, base_time and time_scale: halves of blocks were measured one at a time, and
 * what blocks of both take is a little off; by how much says the first plan, whose blocks are
 * measured as they are. As sqzi_time_table_make and sqzi_squeeze_plan_by_budget. Discard in any
 * case. */
SQZ_NODISCARD sqz_status sqzi_squeeze_time_make(sqzi_budget_task *task,
                                                const sqzi_squeeze_plan *plan,
                                                sqzi_squeeze_time *time, sqz_error *error);
/* The forecast: a plan's blocks are measured as they are. As sqzi_time_table_make. */
SQZ_NODISCARD sqz_status sqzi_squeeze_time_forecast(const sqzi_squeeze_plan *plan,
                                                    sqzi_squeeze_time *time, sqz_error *error);
void sqzi_squeeze_time_discard(sqzi_squeeze_time *time);

/* Run the base and the file at `made` in turn. path: of the model; what the base needs for a moment
 * lies beside `out`. As sqz_quantize, sqz_model_open and sqz_session_open. */
SQZ_NODISCARD sqz_status sqzi_squeeze_time_measure(const sqz_model *model, const char *path,
                                                   const char *out, const char *made,
                                                   sqzi_squeeze_time *time, sqz_error *error);

/* What is known goes into the result; nothing where no time was asked for. */
void sqzi_squeeze_time_tell(const sqzi_squeeze_time *time, sqz_squeeze_result *result);

#endif
