/* SPDX-License-Identifier: Apache-2.0 */
/* Losses of a student against its teacher: values against numpy's, gradients against differences
 * in the double build, batches in parts, teams of any size. */
#include <math.h>
#include <stdio.h>

#include "base/cpu.h"
#include "base/memory.h"
#include "kernel/grad/grad_table.h"
#include "support/difference.h"
#include "support/random.h"
#include "support/test.h"
#include "unit/distil_vectors.h"

enum { CASES = sizeof distil_cases / sizeof *distil_cases, MOST_UNITS = 64, SCRATCH = 1 << 16 };

typedef struct scene {
    sqzi_real student[DISTIL_NUMBERS], teacher[DISTIL_NUMBERS], d[DISTIL_NUMBERS];
    sqzi_distil_term term;
} scene;

static sqzk_table kernels;
static sqzk_grad_table grad_kernels;

/* Relative, of a loss: relations of float are of f32 numbers. */
static double allowed(const distil_case *c)
{
    const bool in_double = sizeof(sqzi_real) == sizeof(double);
    return c->form == SQZI_DISTIL_RELATIONS && !in_double ? 1e-6 : 1e-12;
}

static void open_case(scene *s, const distil_case *c)
{
    for (size_t i = 0; i < DISTIL_NUMBERS; i++) {
        s->student[i] = (sqzi_real)c->student[i];
        s->teacher[i] = (sqzi_real)c->teacher[i];
        s->d[i] = 0;
    }
    s->term = (sqzi_distil_term){.form = c->form,
                                 .scale = 1 / c->divisor,
                                 .student = s->student,
                                 .teacher = s->teacher,
                                 .d = s->d,
                                 .n = c->n,
                                 .width = c->width,
                                 .teacher_width = c->teacher_width,
                                 .temperature = c->temperature,
                                 .heads = c->heads,
                                 .n_sequences = DISTIL_SEQUENCES,
                                 .longest = DISTIL_LONGEST,
                                 .first = distil_first,
                                 .kernels = &kernels,
                                 .grad_kernels = &grad_kernels};
}

static double run_term(const sqzi_distil_term *term)
{
    static double scratch[SCRATCH];
    double sum = 0;
    assert_true(sqzi_distil_scratch(term) <= sizeof scratch / sizeof *scratch);
    for (uint32_t unit = 0; unit < sqzi_distil_units(term); unit++)
        sum += sqzi_distil_unit(term, unit, scratch);
    return sum;
}

static void values_are_those_of_numpy(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        scene s;
        open_case(&s, &distil_cases[i]);
        const double found = run_term(&s.term), wanted = distil_cases[i].loss;
        if (!(fabs(found - wanted) <= allowed(&distil_cases[i]) * fabs(wanted)))
            fail_msg("case %zu: %.17g instead of %.17g", i, found, wanted);
    }
}

/* d of the teacher's own numbers is 0: nothing is left to learn, but for SOFT's entropy. */
static void a_student_that_is_its_teacher_has_no_gradient(void **state)
{
    (void)state;
    const double unit = sizeof(sqzi_real) == sizeof(double) ? 0x1p-53 : 0x1p-24;
    for (size_t i = 0; i < CASES; i++) {
        scene s;
        if (distil_cases[i].width != distil_cases[i].teacher_width) continue;
        open_case(&s, &distil_cases[i]);
        s.term.teacher = s.student;
        const double value = run_term(&s.term);
        assert_true(s.term.form == SQZI_DISTIL_SOFT || fabs(value) <= 0x1p-48);
        for (size_t k = 0; k < DISTIL_NUMBERS; k++) assert_true(fabs((double)s.d[k]) <= 8 * unit);
    }
}

static void d_is_added_to(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        scene once, twice;
        open_case(&once, &distil_cases[i]);
        open_case(&twice, &distil_cases[i]);
        const size_t n = once.term.n * once.term.width;
        for (size_t k = 0; k < DISTIL_NUMBERS; k++) twice.d[k] = 512;
        (void)run_term(&once.term);
        (void)run_term(&twice.term);
        double squares = 0;
        for (size_t k = 0; k < n; k++) {
            assert_true(fabs((double)twice.d[k] - 512 - (double)once.d[k]) <= 0x1p-8);
            squares += (double)once.d[k] * (double)once.d[k];
        }
        assert_true(squares > 1e-6);
        for (size_t k = n; k < DISTIL_NUMBERS; k++) assert_true(twice.d[k] == 512);
    }
}

#ifdef SQZI_DOUBLE
static sqzi_real value_of(void *user)
{
    return (sqzi_real)run_term(&((scene *)user)->term);
}

static void gradients_are_those_of_differences(void **state)
{
    (void)state;
    sqzt_random random = sqzt_random_of(3);
    for (size_t i = 0; i < CASES; i++) {
        scene s;
        sqzi_real d[DISTIL_NUMBERS];
        char name[32];
        snprintf(name, sizeof name, "case %zu", i);
        open_case(&s, &distil_cases[i]);
        (void)run_term(&s.term);
        memcpy(d, s.d, sizeof d);
        for (int times = 0; times < 4; times++)
            sqzt_expect_difference(name, "student", value_of, &s, s.student, d,
                                   s.term.n * s.term.width, &random);
    }
}
#endif

/* ---- teams ---- */

typedef struct job {
    sqzi_distil_terms terms;
    double scratch[3][SCRATCH];
} job;

static void run_job(void *argument, const sqzi_team *team)
{
    job *j = argument;
    sqzi_turn turn = {.team = team};
    sqzi_distil_run(&j->terms, j->scratch[team->member], &turn);
}

static void teams_change_no_bit(void **state)
{
    (void)state;
    static scene scenes[2][CASES];
    static sqzi_distil_term lists[2][CASES];
    static double sums[2][CASES * MOST_UNITS];
    static job jobs[2];
    for (uint32_t k = 0; k < 2; k++) {
        sqz_error error = {0};
        sqzi_thread_pool *pool;
        for (size_t i = 0; i < CASES; i++) {
            open_case(&scenes[k][i], &distil_cases[i]);
            lists[k][i] = scenes[k][i].term;
        }
        jobs[k].terms = (sqzi_distil_terms){lists[k], CASES, sums[k]};
        sqzt_assert_ok(sqzi_thread_pool_open(&sqzi_default_allocator, 1 + 2 * k, &pool, &error),
                       &error);
        sqzi_thread_pool_run(pool, 1 + 2 * k, run_job, &jobs[k]);
        sqzi_thread_pool_close(pool);
    }
    for (uint32_t i = 0; i < CASES; i++) {
        const double one = sqzi_distil_value(&jobs[0].terms, i),
                     three = sqzi_distil_value(&jobs[1].terms, i);
        assert_memory_equal(&one, &three, sizeof one);
        assert_true(fabs(one - distil_cases[i].loss) <=
                    allowed(&distil_cases[i]) * distil_cases[i].loss);
        assert_memory_equal(scenes[0][i].d, scenes[1][i].d, sizeof scenes[0][i].d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_are_those_of_numpy),
                                       cmocka_unit_test(
                                           a_student_that_is_its_teacher_has_no_gradient),
                                       cmocka_unit_test(d_is_added_to),
#ifdef SQZI_DOUBLE
                                       cmocka_unit_test(gradients_are_those_of_differences),
#endif
                                       cmocka_unit_test(teams_change_no_bit)};
    const uint32_t features = sizeof(sqzi_real) == sizeof(double) ? 0 : sqzi_cpu_detect();
    sqzk_table_init(&kernels, features);
    sqzk_grad_table_init(&grad_kernels, features);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
