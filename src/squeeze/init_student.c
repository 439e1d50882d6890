/* SPDX-License-Identifier: Apache-2.0 */
/* A student: a squeezed teacher with random parts. */
#include "base/error.h"
#include "squeeze/student.h"

sqz_status sqz_init_student(sqz_context *context, const char *teacher, const char *out,
                            const sqz_student_options *options, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_student student;
    FAIL_IF(!context || !teacher || !out || !options, SQZ_EINVAL, 0,
            "sqz_init_student: an argument is NULL");
    TRY(SQZI_RESERVED(options, "sqz_student_options", error));
    TRY(SQZI_RESERVED(&options->levers, "sqz_squeeze_options", error));
    TRY(sqzi_student_settle(options, &student, error));
    TRY(sqzi_squeeze_student(context, teacher, out, &student, error));
fail:
    return status;
}
