/* SPDX-License-Identifier: Apache-2.0 */
/* What a student has that no lever makes of its teacher: counts by hand, random parts, another
 * width; and where each of its tensors came from. */
#ifndef SQZI_STUDENT_H
#define SQZI_STUDENT_H

#include <squeezebert/student.h>

#include "squeeze/squeeze_plan.h"

/* Options against the teacher. */
typedef struct sqzi_student {
    const sqz_student_options *options;
    bool embedding, attention, feed_forward; /* are random */
    bool reshaped;
    uint32_t width;          /* of hidden states */
    uint32_t embedding_size; /* k of a random factorised table; 0: it is whole */
} sqzi_student;

/* Options by themselves: words, and levers that go together. SQZ_EINVAL. */
SQZ_NODISCARD sqz_status sqzi_student_settle(const sqz_student_options *options,
                                             sqzi_student *student, sqz_error *error);

/* Levers for a plan by hand: those of what is random leave. */
sqz_squeeze_options sqzi_student_levers(const sqzi_student *student);

/* Counts, over a plan by hand of these levers. SQZ_EINVAL. */
SQZ_NODISCARD sqz_status sqzi_student_plan(sqzi_student *student, const sqz_model *model,
                                           sqzi_squeeze_plan *plan, sqz_error *error);

/* Random parts, in weights whose levers are done. SQZ_EINVAL, SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_student_fill(const sqzi_student *student, sqzi_weights *weights,
                                           sqz_error *error);

/* "init-student --width 256 --random blocks --seed 3". */
enum { SQZI_STUDENT_TEXT = 320 };
void sqzi_student_history(const sqzi_student *student, char text[SQZI_STUDENT_TEXT]);

/* options->tensor, if there is one, for each tensor. */
void sqzi_student_tell(const sqzi_student *student, const sqzi_squeeze_plan *plan,
                       const sqzi_weights *weights);

/* ---- squeeze.c ---- */

/* sqz_squeeze with what of a student comes to it. */
SQZ_NODISCARD sqz_status sqzi_squeeze_student(sqz_context *context, const char *path,
                                              const char *out, sqzi_student *student,
                                              sqz_error *error);

#endif
