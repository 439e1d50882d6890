/* SPDX-License-Identifier: Apache-2.0 */
/* The loss of a batch and its gradient, from pieces to parameters: in double against differences of
 * the loss, for every loss, and for one of logits and one of embeddings at once; a batch in two
 * parts has the gradient of the batch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "support/difference.h"
#include "support/test.h"
#include "support/tiny_encoder.h"
#include "train/batch_gradient.h"
#include "train/loss.h"

enum { SEQUENCES = 4, TOKENS = 15, CLASSES = 3, DIMENSIONS = 20 };

static const uint32_t first[] = {0, 5, 6, 12, 15}, examples[] = {4, 9, 2, 2}, skip[] = {1, 0, 2, 1};
static const uint8_t views[] = {0, 0, 0, 3};
static const uint32_t ids[TOKENS] = {2, 17, 17, 40, 3, 2, 2, 9, 17, 61, 30, 3, 2, 33, 3};
static const uint8_t types[TOKENS] = {0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1};
static const int32_t labels[TOKENS] = {2, 0, 1, -1, 1, 0, 2, 2, -1, 0, 1, 2, 0, 1, 1};
static const float targets[TOKENS * CLASSES] = {1, 0, 1, 0.25f, 1, 0, 0, 0, 0.5f, 0, 1, 1};

typedef struct scene {
    sqzt_encoder model;
    sqzi_parameters parameters;
    sqzk_grad_table kernels;
    sqzi_thread_pool *pool;
    sqzi_batch_gradient gradient;
    void *block;
    size_t bytes;
    sqzi_loss loss, pairs; /* of logits, of embeddings; kind NULL: none */
    double dropout;
    uint32_t parts;
    double scratch[512];
} scene;

static sqzt_tiny tiny_of(const char *head)
{
    return (sqzt_tiny){.width = 24,
                       .blocks = 2,
                       .heads = 3,
                       .head_width = 8,
                       .ffn_width = 40,
                       .embedding_width = 24,
                       .positions = 40,
                       .token_types = 2,
                       .permuted = true,
                       .head = head,
                       .classes = CLASSES,
                       .seed = 51};
}

/* The parameters hold what the model was packed from. */
static void copy_masters(scene *s)
{
    for (uint32_t i = 0; i < s->model.n_tensors; i++) {
        const sqzt_tensor *t = &s->model.tensors[i];
        const sqzi_parameter *p = sqzi_parameters_find(&s->parameters, t->name);
        if (!p) fail_msg("%s is no parameter", t->name);
        assert_int_equal(p->n, t->n);
        memcpy(p->master, t->master, t->n * sizeof *t->master);
        memset(p->gradient, 0, p->trained ? t->n * sizeof *p->gradient : 0);
    }
}

/* One case: logits of `head` by `problem`, embeddings by the loss `pairs`, or both. */
typedef struct scene_case {
    const char *what, *head;
    sqz_problem problem;
    const char *pairs, *pool;
    uint32_t texts;
    double smoothing, dropout;
} scene_case;

static void open_scene(scene *s, const scene_case *c)
{
    sqz_error error = {0};
    sqzt_tiny tiny = tiny_of(c->head);
    const uint32_t features = sizeof(sqzi_real) == sizeof(double) ? 0 : sqzi_cpu_detect();
    *s = (scene){.parts = 1, .dropout = c->dropout};
    if (c->head)
        s->loss = (sqzi_loss){.kind = sqzi_loss_of_problem(c->problem),
                              .weight = 1,
                              .classes = CLASSES,
                              .smoothing = c->smoothing};
    if (c->pairs)
        s->pairs = (sqzi_loss){.kind = sqzi_loss_find(c->pairs),
                               .weight = 0.5,
                               .texts = c->texts,
                               .dimensions = DIMENSIONS,
                               .scale = 4,
                               .symmetric = c->texts == 2};
    tiny.embed_pool = c->pool;
    sqzt_encoder_make(&s->model, &tiny, features, SQZI_F32);
    sqzk_grad_table_init(&s->kernels, features);
    sqzt_assert_ok(sqzi_thread_pool_open(&sqzi_default_allocator, 2, &s->pool, &error), &error);
    sqzt_assert_ok(sqzi_parameters_open(&sqzi_default_allocator, &s->model.encoder, &s->model.head,
                                        &(sqzi_trained){.pooling = s->model.head.pooling,
                                                        .embeds = !c->head},
                                        &s->parameters, &error),
                   &error);
    copy_masters(s);
    const sqzi_gradient_model model = {.encoder = &s->model.encoder,
                                       .head = &s->model.head,
                                       .parameters = &s->parameters,
                                       .kernels = &s->kernels,
                                       .pool = s->pool,
                                       .padding = UINT32_MAX,
                                       .logits = c->head != NULL,
                                       .embed = {.pooling = c->head ? SQZ_POOLING_MEAN
                                                                    : s->model.head.pooling,
                                                 .dimensions = c->pairs ? DIMENSIONS : 0}};
    const sqzi_gradient_sizes sizes = {
        .max_tokens = TOKENS, .max_sequences = SEQUENCES, .max_length = 6};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_batch_gradient_layout(&s->gradient, &model, &sizes, &arena);
    s->bytes = arena.used;
    s->block = sqzi_allocate(&sqzi_default_allocator, s->bytes);
    assert_non_null(s->block);
    arena = sqzi_arena_over(s->block, s->bytes);
    sqzi_batch_gradient_layout(&s->gradient, &model, &sizes, &arena);
}

static void close_scene(scene *s)
{
    sqzi_release(&sqzi_default_allocator, s->block, s->bytes);
    sqzi_parameters_close(&s->parameters);
    sqzi_thread_pool_close(s->pool);
    sqzt_encoder_free(&s->model);
}

static double run_losses(scene *s, const sqzi_loss_items *items, double count)
{
    const sqzi_batch_gradient *g = &s->gradient;
    sqzi_loss_args args = {items, count, &g->outputs, &g->grads, s->scratch};
    double loss = 0;
    if (s->loss.kind) loss += s->loss.kind->run(&s->loss, &args);
    if (s->pairs.kind) {
        const sqzi_loss_items pairs = {SEQUENCES / s->pairs.texts, NULL, targets};
        args.items = &pairs;
        args.count = s->pairs.kind->count(&s->pairs, &pairs);
        assert_true(s->pairs.kind->room(&s->pairs, pairs.n) <= sizeof s->scratch / sizeof(double));
        loss += s->pairs.weight * s->pairs.kind->run(&s->pairs, &args);
    }
    return loss;
}

/* Sequences [from, to) of the batch. */
static double add_part(scene *s, uint32_t from, uint32_t to, double batch_count, bool run)
{
    const bool tokens = s->model.head.kind == SQZ_HEAD_TOKEN;
    uint32_t starts[SEQUENCES + 1];
    for (uint32_t b = from; b <= to; b++) starts[b - from] = first[b] - first[from];
    const sqzi_batch batch = {.n_sequences = to - from,
                              .n_tokens = first[to] - first[from],
                              .longest = 6,
                              .first = starts,
                              .ids = ids + first[from],
                              .types = types + first[from]};
    const size_t begin = tokens ? first[from] : from;
    const sqzi_loss_items items = {tokens ? batch.n_tokens : batch.n_sequences, labels + begin,
                                   targets + begin * CLASSES};
    const sqzi_dropout dropout = {.hidden = s->dropout,
                                  .attention = s->dropout,
                                  .head = s->dropout,
                                  .seed = 3,
                                  .epoch = 1,
                                  .examples = examples + from,
                                  .views = views + from};
    if (!run) return s->loss.kind->count(&s->loss, &items);
    sqzi_batch_gradient *g = &s->gradient;
    g->skip = skip + from;
    sqzi_batch_forward(g, &batch, s->dropout > 0 ? &dropout : NULL);
    const double loss = run_losses(s, &items, batch_count);
    sqzi_batch_backward(g);
    return loss;
}

static double loss_of(scene *s)
{
    double count = 0, sum = 0;
    for (uint32_t p = 0; s->loss.kind && p < s->parts; p++)
        count += add_part(s, SEQUENCES * p / s->parts, SEQUENCES * (p + 1) / s->parts, 0, false);
    for (uint32_t p = 0; p < s->parts; p++)
        sum += add_part(s, SEQUENCES * p / s->parts, SEQUENCES * (p + 1) / s->parts, count, true);
    return sum;
}

static const scene_case all[] = {
    {.what = "single label", .head = "sequence", .smoothing = 0.1},
    {.what = "single label, dropout", .head = "sequence", .dropout = 0.2},
    {.what = "multi label", .head = "sequence", .problem = SQZ_MULTI_LABEL, .dropout = 0.1},
    {.what = "regression", .head = "sequence", .problem = SQZ_REGRESSION},
    {.what = "tokens", .head = "token", .dropout = 0.1},
    {.what = "cosine", .pairs = "cosine", .texts = 2},
    {.what = "cosent", .pairs = "cosent", .texts = 2, .pool = "cls", .dropout = 0.1},
    {.what = "ranking, both ways", .pairs = "ranking", .texts = 2, .pool = "pooler"},
    {.what = "ranking, hard negatives", .pairs = "ranking", .texts = 4, .dropout = 0.1},
    {.what = "tokens and pairs", .head = "token", .pairs = "cosent", .texts = 2, .dropout = 0.1},
    {.what = "label and pairs", .head = "sequence", .pairs = "ranking", .texts = 2}};
enum { ALL = sizeof all / sizeof *all, IN_PARTS = 5 /* the first, which have no pairs */ };

#ifdef SQZI_DOUBLE
static sqzi_real packed_loss(void *user)
{
    scene *s = user;
    sqzt_encoder_pack(&s->model);
    return (sqzi_real)loss_of(s);
}

static void gradients_are_those_of_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        scene s;
        open_scene(&s, &all[i]);
        sqzt_random random = sqzt_random_of(6);
        for (uint32_t j = 0; j < s.model.n_tensors; j++) {
            const sqzt_tensor *t = &s.model.tensors[j];
            const sqzi_parameter *p = sqzi_parameters_find(&s.parameters, t->name);
            /* the loss does not depend on a key's bias */
            if (!p->trained || strstr(t->name, "attn_k.bias")) continue;
            copy_masters(&s);
            sqzt_encoder_pack(&s.model);
            (void)loss_of(&s);
            sqzi_real *gradient = malloc(t->n * sizeof *gradient);
            assert_non_null(gradient);
            memcpy(gradient, p->gradient, t->n * sizeof *gradient);
            sqzt_expect_difference(all[i].what, t->name, packed_loss, &s, t->master, gradient, t->n,
                                   &random);
            free(gradient);
        }
        close_scene(&s);
    }
}
#endif

/* Sums of other order: of each tensor the difference is small beside the gradient. */
static void a_batch_in_parts_has_the_gradient_of_the_batch(void **state)
{
    (void)state;
    const double unit = sizeof(sqzi_real) == sizeof(double) ? 0x1p-53 : 0x1p-24;
    for (size_t i = 0; i < IN_PARTS; i++) {
        scene whole, parts;
        open_scene(&whole, &all[i]);
        open_scene(&parts, &all[i]);
        parts.parts = 2;
        const double a = loss_of(&whole), b = loss_of(&parts);
        assert_true(fabs(a - b) <= 64 * unit * fabs(a));
        double all_squares = 0;
        for (uint32_t j = 0; j < whole.parameters.n; j++) {
            const sqzi_parameter *p = &whole.parameters.list[j], *q = &parts.parameters.list[j];
            double squares = 0, off = 0;
            for (size_t k = 0; p->trained && k < p->n; k++) {
                const double d = (double)p->gradient[k] - (double)q->gradient[k];
                squares += (double)p->gradient[k] * (double)p->gradient[k];
                off += d * d;
            }
            all_squares += squares;
            if (!(sqrt(off) <= 256 * unit * (sqrt(squares) + 1)))
                fail_msg("%s, %s: %g of %g", all[i].what, p->entry.name, sqrt(off), sqrt(squares));
        }
        assert_true(all_squares > 1e-4);
        close_scene(&whole);
        close_scene(&parts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef SQZI_DOUBLE
        cmocka_unit_test(gradients_are_those_of_differences),
#endif
        cmocka_unit_test(a_batch_in_parts_has_the_gradient_of_the_batch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
