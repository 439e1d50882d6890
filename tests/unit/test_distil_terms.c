/* SPDX-License-Identifier: Apache-2.0 */
/* A student against its teacher, from pieces to parameters: in double the gradient of every loss
 * against differences; a batch in two parts has the losses of the batch. */
#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "support/difference.h"
#include "support/test.h"
#include "support/tiny_encoder.h"
#include "train/batch_gradient.h"
#include "train/distil_terms.h"

enum { SEQUENCES = 3, TOKENS = 12, LONGEST = 6, CLASSES = 3, MEMBERS = 2, WIDTH = 24, WIDER = 36 };

static const uint32_t first[] = {0, 5, 6, 12};
static const uint32_t ids[TOKENS] = {2, 17, 17, 40, 3, 2, 2, 9, 17, 61, 30, 3};
static const uint8_t types[TOKENS] = {0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1};
static const uint32_t map[] = {0, 2, 3};

/* One of the two models with what runs it. */
typedef struct one_side {
    sqzt_encoder model;
    sqzi_parameters parameters;
    sqzi_batch_gradient gradient;
} one_side;

typedef struct scene {
    one_side student, teacher;
    sqzk_grad_table kernels;
    sqzi_thread_pool *pool;
    sqzi_distil distil;
    void *blocks[3];
    size_t bytes[3];
    uint32_t parts;
    double dropout, attention_dropout; /* of the student */
    /* of hidden states and embeddings; without numbers: as wide as the teacher's */
    sqzi_real projections[2][WIDER * WIDTH], gradients[2][WIDER * WIDTH];
    double values[SQZ_DISTIL_LOSSES];
} scene;

static void copy_masters(one_side *s)
{
    for (uint32_t i = 0; i < s->model.n_tensors; i++) {
        const sqzt_tensor *t = &s->model.tensors[i];
        const sqzi_parameter *p = sqzi_parameters_find(&s->parameters, t->name);
        if (!p) fail_msg("%s is no parameter", t->name);
        memcpy(p->master, t->master, t->n * sizeof *t->master);
        memset(p->gradient, 0, p->trained ? t->n * sizeof *p->gradient : 0);
    }
}

static uint32_t features(void)
{
    return sizeof(sqzi_real) == sizeof(double) ? 0 : sqzi_cpu_detect();
}

static void make_side(one_side *side, uint32_t blocks, uint32_t seed, uint32_t width)
{
    sqz_error error = {0};
    const sqzt_tiny tiny = {.width = width,
                            .blocks = blocks,
                            .heads = 3,
                            .head_width = width / 3,
                            .ffn_width = 40,
                            .embedding_width = width,
                            .positions = 40,
                            .token_types = 2,
                            .permuted = true,
                            .head = "sequence",
                            .classes = CLASSES,
                            .seed = seed};
    sqzt_encoder_make(&side->model, &tiny, features(), SQZI_F32);
    sqzt_assert_ok(sqzi_parameters_open(&sqzi_default_allocator, &side->model.encoder,
                                        &side->model.head,
                                        &(sqzi_trained){.pooling = side->model.head.pooling},
                                        &side->parameters, &error),
                   &error);
    copy_masters(side);
}

/* Lays out side k twice: counted, then placed. */
static void lay_out_side(scene *s, one_side *side, uint32_t k, const sqzi_distil_plan *plan)
{
    const sqzi_gradient_model model = {.encoder = &side->model.encoder,
                                       .head = &side->model.head,
                                       .parameters = &side->parameters,
                                       .kernels = &s->kernels,
                                       .pool = s->pool,
                                       .padding = UINT32_MAX,
                                       .logits = true,
                                       .embed = {SQZ_POOLING_MEAN, side->model.encoder.width,
                                                 true}};
    const sqzi_gradient_sizes sizes = {.max_tokens = TOKENS,
                                       .max_sequences = SEQUENCES,
                                       .max_length = LONGEST};
    const sqzi_distil_sizes own = {TOKENS, SEQUENCES, LONGEST, MEMBERS};
    for (int placed = 0; placed < 2; placed++) {
        sqzi_arena arena = sqzi_arena_over(placed ? s->blocks[k] : NULL,
                                           placed ? s->bytes[k] : SIZE_MAX);
        sqzi_batch_gradient_layout(&side->gradient, &model, &sizes, &arena);
        if (k) sqzi_distil_keep_teacher(plan, &own, side->gradient.tape.blocks, &arena);
        else sqzi_distil_keep_student(plan, &own, &side->gradient.tape, &arena);
        if (placed) break;
        s->bytes[k] = arena.used;
        s->blocks[k] = sqzi_allocate(&sqzi_default_allocator, arena.used);
        assert_non_null(s->blocks[k]);
    }
}

/* To the width of the teacher, random. */
static sqzi_projection_numbers make_projection(scene *s, int k, bool wanted)
{
    sqzt_random random = sqzt_random_of(77 + (uint32_t)k);
    const uint32_t from = s->student.model.encoder.width, to = s->teacher.model.encoder.width;
    if (from == to || !wanted) return (sqzi_projection_numbers){0};
    for (size_t i = 0; i < (size_t)from * to; i++)
        s->projections[k][i] = (sqzi_real)(0.3 * sqzt_normal(&random));
    return (sqzi_projection_numbers){to, from, s->projections[k], s->gradients[k]};
}

static void open_scene(scene *s, const double weights[SQZ_DISTIL_LOSSES], uint32_t width)
{
    sqz_error error = {0};
    const sqzi_distil_sizes sizes = {TOKENS, SEQUENCES, LONGEST, MEMBERS};
    *s = (scene){.parts = 1};
    sqzt_assert_ok(sqzi_thread_pool_open(&sqzi_default_allocator, MEMBERS, &s->pool, &error),
                   &error);
    sqzk_grad_table_init(&s->kernels, features());
    make_side(&s->student, 2, 51, WIDTH);
    make_side(&s->teacher, 3, 52, width);
    sqzi_distil_plan plan = {.student = &s->student.model.encoder,
                             .teacher = &s->teacher.model.encoder,
                             .temperature = 2,
                             .map = map,
                             .relation_heads = 4,
                             .relation_block = 1,
                             .classes = CLASSES,
                             .dimensions = WIDTH,
                             .teacher_dimensions = width,
                             .kernels = &s->kernels};
    plan.of_hidden = make_projection(s, 0, weights[SQZ_DISTIL_HIDDEN] > 0);
    plan.of_embeddings =
        make_projection(s, 1, weights[SQZ_DISTIL_POOLED] > 0 || weights[SQZ_DISTIL_POOLED_MSE] > 0);
    memcpy(plan.weights, weights, sizeof plan.weights);
    lay_out_side(s, &s->student, 0, &plan);
    lay_out_side(s, &s->teacher, 1, &plan);
    for (int placed = 0; placed < 2; placed++) {
        sqzi_arena arena = sqzi_arena_over(placed ? s->blocks[2] : NULL,
                                           placed ? s->bytes[2] : SIZE_MAX);
        sqzi_distil_layout(&s->distil, &plan, &sizes, &arena);
        if (placed) break;
        s->bytes[2] = arena.used;
        s->blocks[2] = sqzi_allocate(&sqzi_default_allocator, arena.used);
        assert_non_null(s->blocks[2]);
    }
}

static void close_scene(scene *s)
{
    for (int k = 0; k < 3; k++) sqzi_release(&sqzi_default_allocator, s->blocks[k], s->bytes[k]);
    sqzi_parameters_close(&s->student.parameters);
    sqzi_parameters_close(&s->teacher.parameters);
    sqzi_thread_pool_close(s->pool);
    sqzt_encoder_free(&s->student.model);
    sqzt_encoder_free(&s->teacher.model);
}

static void forward_student(scene *s, uint32_t from, const sqzi_batch *batch)
{
    static const uint32_t examples[SEQUENCES] = {4, 9, 2};
    static const uint8_t views[SEQUENCES];
    static sqzi_dropout dropout;
    dropout = (sqzi_dropout){.hidden = s->dropout,
                             .attention = s->attention_dropout,
                             .head = s->dropout,
                             .seed = 8,
                             .epoch = 1,
                             .examples = examples + from,
                             .views = views + from};
    sqzi_batch_forward(&s->student.gradient, batch, s->attention_dropout > 0 ? &dropout : NULL);
}

static void add_part(scene *s, uint32_t from, uint32_t to)
{
    uint32_t starts[SEQUENCES + 1];
    const sqzi_distil_counts counts = {SEQUENCES, TOKENS, 25 + 1 + 36};
    for (uint32_t b = from; b <= to; b++) starts[b - from] = first[b] - first[from];
    const sqzi_batch batch = {.n_sequences = to - from,
                              .n_tokens = first[to] - first[from],
                              .longest = LONGEST,
                              .first = starts,
                              .ids = ids + first[from],
                              .types = types + first[from]};
    sqzi_batch_forward(&s->teacher.gradient, &batch, NULL);
    forward_student(s, from, &batch);
    sqzi_distil_add(&s->distil, &batch, &s->student.gradient.outputs, &s->teacher.gradient.outputs,
                    &s->student.gradient.grads, &counts, s->pool, s->values);
    sqzi_batch_backward(&s->student.gradient);
}

static double loss_of(scene *s)
{
    double sum = 0;
    memset(s->values, 0, sizeof s->values);
    memset(s->gradients, 0, sizeof s->gradients);
    for (uint32_t p = 0; p < s->parts; p++)
        add_part(s, SEQUENCES * p / s->parts, SEQUENCES * (p + 1) / s->parts);
    for (int i = 0; i < SQZ_DISTIL_LOSSES; i++) sum += s->values[i];
    return sum;
}

/* Each loss alone, and all of them. */
static void weights_of(uint32_t i, double weights[SQZ_DISTIL_LOSSES])
{
    for (uint32_t k = 1; k < SQZ_DISTIL_LOSSES; k++)
        weights[k] = i == k || i == SQZ_DISTIL_LOSSES ? 0.5 + 0.25 * k : 0;
    weights[SQZ_DISTIL_LABELS] = 0;
}

static const char *name_of(uint32_t i)
{
    return i < SQZ_DISTIL_LOSSES ? sqz_distil_loss_name((sqz_distil_loss)i) : "all losses";
}

#ifdef SQZI_DOUBLE
static sqzi_real packed_loss(void *user)
{
    scene *s = user;
    sqzt_encoder_pack(&s->student.model);
    return (sqzi_real)loss_of(s);
}

static double expect_parameter(scene *s, const char *what, const sqzt_tensor *t,
                               const sqzi_parameter *p, sqzt_random *random)
{
    double squares = 0;
    copy_masters(&s->student);
    sqzt_encoder_pack(&s->student.model);
    (void)loss_of(s);
    sqzi_real *gradient = malloc(t->n * sizeof *gradient);
    assert_non_null(gradient);
    memcpy(gradient, p->gradient, t->n * sizeof *gradient);
    for (size_t k = 0; k < t->n; k++) squares += (double)(gradient[k] * gradient[k]);
    sqzt_expect_difference(what, t->name, packed_loss, s, t->master, gradient, t->n, random);
    free(gradient);
    return squares;
}

static void expect_projection(scene *s, const char *what, int k, sqzt_random *random)
{
    static const char *const names[] = {"projection of hidden states", "of embeddings"};
    sqzi_real gradient[WIDER * WIDTH];
    double squares = 0;
    (void)loss_of(s);
    memcpy(gradient, s->gradients[k], sizeof gradient);
    for (size_t i = 0; i < WIDER * WIDTH; i++) squares += (double)(gradient[i] * gradient[i]);
    assert_true(squares > 1e-8);
    sqzt_expect_difference(what, names[k], packed_loss, s, s->projections[k], gradient,
                           WIDER * WIDTH, random);
}

/* A teacher of the student's width, and a wider one; without dropout and with it. */
static void gradients_are_those_of_differences(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= SQZ_DISTIL_LOSSES; i++)
        for (int k = 0; k < 4; k++) {
            static scene s;
            double weights[SQZ_DISTIL_LOSSES], squares = 0;
            sqzt_random random = sqzt_random_of(6);
            weights_of(i, weights);
            open_scene(&s, weights, k % 2 ? WIDER : WIDTH);
            s.dropout = s.attention_dropout = k > 1 ? 0.25 : 0;
            for (uint32_t j = 0; j < s.student.model.n_tensors; j++) {
                const sqzt_tensor *t = &s.student.model.tensors[j];
                const sqzi_parameter *p = sqzi_parameters_find(&s.student.parameters, t->name);
                if (p->trained) squares += expect_parameter(&s, name_of(i), t, p, &random);
            }
            assert_true(squares > 1e-8);
            for (int p = 0; p < 2; p++)
                if ((p ? &s.distil.plan.of_embeddings : &s.distil.plan.of_hidden)->n_out)
                    expect_projection(&s, name_of(i), p, &random);
            close_scene(&s);
        }
}
#endif

static void expect_near(const char *what, const char *name, const sqzi_real *p, const sqzi_real *q,
                        size_t n)
{
    const double unit = sizeof(sqzi_real) == sizeof(double) ? 0x1p-53 : 0x1p-24;
    double squares = 0, off = 0;
    for (size_t k = 0; k < n; k++) {
        const double d = (double)p[k] - (double)q[k];
        squares += (double)p[k] * (double)p[k];
        off += d * d;
    }
    if (!(sqrt(off) <= 256 * unit * (sqrt(squares) + 1)))
        fail_msg("%s, %s: %g of %g", what, name, sqrt(off), sqrt(squares));
}

static void compare_parts(uint32_t i, uint32_t width)
{
    const double unit = sizeof(sqzi_real) == sizeof(double) ? 0x1p-53 : 0x1p-24;
    static scene whole, parts;
    double weights[SQZ_DISTIL_LOSSES];
    weights_of(i, weights);
    open_scene(&whole, weights, width);
    open_scene(&parts, weights, width);
    parts.parts = 2;
    const double a = loss_of(&whole), b = loss_of(&parts);
    if (!(fabs(a - b) <= 64 * unit * fabs(a)) || !(a > 1e-6))
        fail_msg("%s: %.17g whole, %.17g in parts", name_of(i), a, b);
    for (uint32_t j = 0; j < whole.student.parameters.n; j++) {
        const sqzi_parameter *p = &whole.student.parameters.list[j],
                             *q = &parts.student.parameters.list[j];
        if (p->trained) expect_near(name_of(i), p->entry.name, p->gradient, q->gradient, p->n);
    }
    for (int k = 0; k < 2; k++)
        expect_near(name_of(i), "projection", whole.gradients[k], parts.gradients[k],
                    WIDER * WIDTH);
    close_scene(&whole);
    close_scene(&parts);
}

static void a_batch_in_parts_has_the_losses_of_the_batch(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < SQZ_DISTIL_LOSSES; i++) {
        if (i == SQZ_DISTIL_SIMILARITIES) continue; /* across the batch */
        compare_parts(i, WIDTH);
        compare_parts(i, WIDER);
    }
}

static void a_teacher_of_itself_has_nothing_to_teach(void **state)
{
    (void)state;
    const double unit = sizeof(sqzi_real) == sizeof(double) ? 0x1p-53 : 0x1p-24;
    static scene s;
    double weights[SQZ_DISTIL_LOSSES];
    weights_of(SQZ_DISTIL_LOSSES, weights);
    weights[SQZ_DISTIL_SOFT] = weights[SQZ_DISTIL_HIDDEN] = weights[SQZ_DISTIL_ATTENTION] = 0;
    weights[SQZ_DISTIL_QUERIES] = weights[SQZ_DISTIL_KEYS] = weights[SQZ_DISTIL_VALUES] = 0;
    open_scene(&s, weights, WIDTH);
    const sqzi_distil_counts counts = {SEQUENCES, TOKENS, 25 + 1 + 36};
    const sqzi_batch batch = {SEQUENCES, TOKENS, LONGEST, first, ids, types};
    sqzi_batch_forward(&s.student.gradient, &batch, NULL);
    sqzi_distil_add(&s.distil, &batch, &s.student.gradient.outputs, &s.student.gradient.outputs,
                    &s.student.gradient.grads, &counts, s.pool, s.values);
    for (int i = 0; i < SQZ_DISTIL_LOSSES; i++) assert_true(fabs(s.values[i]) <= 64 * unit);
    close_scene(&s);
}

/* Scores are kept before anything is dropped: where nothing is in front of them, they are those of
 * a run that drops nothing, bit for bit. */
static void kept_scores_are_those_that_nothing_is_dropped_of(void **state)
{
    (void)state;
    static scene s;
    double weights[SQZ_DISTIL_LOSSES];
    const size_t n = 3 * (25 + 1 + 36);
    sqzi_real plain[2][3 * (25 + 1 + 36)];
    const sqzi_batch batch = {SEQUENCES, TOKENS, LONGEST, first, ids, types};
    weights_of(SQZ_DISTIL_ATTENTION, weights);
    open_scene(&s, weights, WIDTH);
    const sqzi_block_keep *blocks = s.student.gradient.tape.blocks;
    forward_student(&s, 0, &batch);
    for (int i = 0; i < 2; i++) memcpy(plain[i], blocks[i].scores, sizeof plain[i]);
    s.attention_dropout = 0.5;
    forward_student(&s, 0, &batch);
    assert_memory_equal(plain[0], blocks[0].scores, n * sizeof(sqzi_real));
    assert_memory_not_equal(plain[1], blocks[1].scores, n * sizeof(sqzi_real));
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef SQZI_DOUBLE
        cmocka_unit_test(gradients_are_those_of_differences),
#endif
        cmocka_unit_test(a_batch_in_parts_has_the_losses_of_the_batch),
        cmocka_unit_test(kept_scores_are_those_that_nothing_is_dropped_of),
        cmocka_unit_test(a_teacher_of_itself_has_nothing_to_teach)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
