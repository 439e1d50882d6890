/* SPDX-License-Identifier: Apache-2.0 */
/* Students while memory fails: the new file is whole or is not there, and nobody is told of tensors
 * of one that is not. */
#include <squeezebert/student.h>
#include <stdio.h>
#include <unistd.h>

#include "support/allocation_sweep.h"
#include "support/test.h"
#include "support/tiny_model.h"

static char out[300];
static sqz_student_options options;
static uint32_t n_told;

static void tell(void *user, const sqz_student_tensor *tensor)
{
    (void)user;
    assert_non_null(tensor->name);
    n_told++;
}

static sqz_status make(const sqzt_subject *s, sqz_error *error)
{
    n_told = 0;
    const sqz_status status = sqz_init_student(s->context, s->path, out, &options, error);
    assert_int_equal(access(out, F_OK) == 0, status == SQZ_OK);
    assert_int_equal(n_told > 0, status == SQZ_OK);
    if (status == SQZ_OK) assert_int_equal(remove(out), 0);
    return status;
}

static void students_leave_whole_files_or_none(void **state)
{
    (void)state;
    static const uint32_t layers[] = {0};
    char teacher[300];
    sqzt_subject s = sqzt_sweep_begin();
    snprintf(out, sizeof out, "%s", sqzt_temporary("student.gguf"));
    snprintf(teacher, sizeof teacher, "%s", sqzt_temporary("teacher.gguf"));
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, teacher);
    s.path = teacher;
    options = (sqz_student_options){.random = "all", .width = 16, .heads = 2, .tensor = tell};
    assert_true(sqzt_sweep("another width", make, &s) > 100);
    options = (sqz_student_options){.random = "attention,feed_forward", .tensor = tell};
    options.levers.layers = layers;
    options.levers.n_layers = 1;
    assert_true(sqzt_sweep("a block, random", make, &s) > 100);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(students_leave_whole_files_or_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
