/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of whole encoders with their heads. In double each tensor's against a central
 * difference of the loss along a random direction; in f32 on every level against bounds of what
 * rounding does, and everywhere bits that depend on neither the team nor on running again. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/memory.h"
#include "support/test.h"
#include "support/tiny_pass.h"

static uint32_t any_features(void)
{
    return sizeof(sqzi_real) == sizeof(double) ? 0 : sqzi_cpu_detect();
}

/* A sequence of one token, and more than a chain and a strip of rows. */
static const sqzt_pass_options plain = {.members = 1,
                                        .lengths = {40, 1, 33, 40, 17},
                                        .padding = UINT32_MAX};
static const sqzt_pass_options dropped = {.members = 2,
                                          .lengths = {40, 1, 33, 40, 17},
                                          .padding = UINT32_MAX,
                                          .dropout = 0.1,
                                          .recompute = true,
                                          .normalize = true,
                                          .some_tokens = true};

#ifdef SQZI_DOUBLE

static double loss_along(sqzt_pass *p, const sqzt_tensor *tensor, const double *direction,
                         const sqzi_real *from, double h)
{
    for (size_t i = 0; i < tensor->n; i++)
        tensor->master[i] = from[i] + (sqzi_real)(h * direction[i]);
    const double loss = sqzt_pass_loss(p);
    memcpy(tensor->master, from, tensor->n * sizeof *from);
    return loss;
}

/* What all scores of a query share, its softmax ignores: the loss does not depend on a key's bias,
 * and a difference would show nothing but its rounding. */
static bool has_no_effect(const sqzt_pass *p, const sqzt_tensor *tensor)
{
    return !p->keep_grads && strstr(tensor->name, "attn_k.bias") != NULL;
}

/* The direction has length 1, so that its third derivative is not in the way. */
static void check_tensor(sqzt_pass *p, const char *form, const sqzt_tensor *tensor, double loss)
{
    const double h = 1e-5;
    const size_t n = tensor->n;
    double *direction = malloc(n * sizeof *direction), length = 0, along = 0, norm = 0;
    sqzi_real *from = malloc(n * sizeof *from);
    assert_true(direction && from);
    memcpy(from, tensor->master, n * sizeof *from);
    for (size_t i = 0; i < n; i++) {
        direction[i] = sqzt_normal(&p->model.random);
        length += direction[i] * direction[i];
        norm += (double)tensor->grad[i] * (double)tensor->grad[i];
    }
    for (size_t i = 0; i < n; i++) {
        direction[i] /= sqrt(length);
        along += (double)tensor->grad[i] * direction[i];
    }
    const double difference = has_no_effect(p, tensor)
                                  ? 0
                                  : (loss_along(p, tensor, direction, from, h) -
                                     loss_along(p, tensor, direction, from, -h)) /
                                        (2 * h),
                 allowed = 1e-7 * fmax(fabs(along), sqrt(norm / (double)n)) +
                           4 * 0x1p-52 * fabs(loss) / h;
    if (!(fabs(difference - along) <= allowed))
        fail_msg("%s, %s: the difference is %.12g, the gradient says %.12g, +- %.2g", form,
                 tensor->name, difference, along, allowed);
    free(direction);
    free(from);
}

static void check_form(const char *name, const sqzt_tiny *tiny, const sqzt_pass_options *options)
{
    sqzt_pass p;
    sqzt_pass_make(&p, tiny, options);
    sqzt_pass_gradients(&p);
    const double loss = sqzt_pass_loss(&p);
    for (uint32_t i = 0; i < p.model.n_tensors; i++)
        if (*p.model.tensors[i].grad_at) check_tensor(&p, name, &p.model.tensors[i], loss);
    sqzt_pass_free(&p);
}

/* Long sequences where there are places for them; few tokens of the wide one, and of forms that
 * differ from another in how a file has their numbers alone. */
static void choose_lengths(const sqzt_tiny *tiny, uint32_t *lengths)
{
    static const uint32_t long_ones[] = {70, 1, 200, 0}, few[] = {17, 1, 9, 0};
    if (tiny->positions > 200) memcpy(lengths, long_ones, sizeof long_ones);
    else if (tiny->ffn_width > 1000 || tiny->type != SQZI_F32) memcpy(lengths, few, sizeof few);
}

static void gradients_of_every_form_are_those_of_differences(void **state)
{
    (void)state;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        sqzt_pass_options options[] = {plain, dropped};
        for (size_t i = 0; i < 2; i++) {
            choose_lengths(&form->tiny, options[i].lengths);
            check_form(form->name, &form->tiny, &options[i]);
        }
    }
}

#define TINY                                                                                       \
    .width = 24, .blocks = 2, .heads = 2, .head_width = 9, .ffn_width = 40, .embedding_width = 24, \
    .positions = 40, .token_types = 2, .seed = 50

/* Heads and poolings that no form of a file has. */
static void gradients_of_every_head_and_pooling_are_those_of_differences(void **state)
{
    static const sqzt_tiny forms[] = {
        {TINY, .head = "sequence", .pool = "mean", .classes = 1},
        {TINY, .head = "sequence", .pool = "cls", .classes = 3, .head_dense = true},
        {TINY, .head = "multiple_choice", .pool = "pooler", .classes = 1},
        {TINY, .head = "token", .classes = 4, .head_dense = true},
        {TINY, .embed_pool = "mean"},
        {TINY, .embed_pool = "max"},
        {TINY, .embed_pool = "cls"},
        {TINY, .embed_pool = "last"},
        {TINY, .embed_pool = "pooler"},
        {TINY, .embed_pool = "mean_sqrt_len"},
        {TINY, .embed_pool = "weighted_mean", .steps = {"normalize", "dense"}, .step_width = 9},
    };
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        sqzt_pass_options some = dropped;
        char name[64];
        some.skip = forms[i].embed_pool && strcmp(forms[i].embed_pool, "pooler") != 0;
        snprintf(name, sizeof name, "%s of %s", forms[i].head ? forms[i].head : "embeddings",
                 forms[i].head ? forms[i].pool ? forms[i].pool : "tokens" : forms[i].embed_pool);
        check_form(name, &forms[i], &plain);
        check_form(name, &forms[i], &some);
    }
}

/* d of kept rows, as losses of distillation hand it in. */
static void gradients_of_kept_rows_are_added_where_they_pass(void **state)
{
    (void)state;
    sqzt_pass_options options = plain;
    options.keep_grads = true;
    for (uint32_t i = 0; i < 7; i++)
        check_form(sqzt_tiny_forms[i].name, &sqzt_tiny_forms[i].tiny, &options);
}
#endif

static const sqzt_tensor *tensor_of(const sqzt_pass *p, const char *name)
{
    for (uint32_t i = 0; i < p->model.n_tensors; i++)
        if (strcmp(p->model.tensors[i].name, name) == 0) return &p->model.tensors[i];
    fail_msg("no tensor is called %s", name);
    return NULL;
}

/* Every gradient of two passes of one form is the same, bit for bit. */
static void check_same(const char *form, sqzt_pass *p, sqzt_pass *q)
{
    sqzt_pass_gradients(q);
    for (uint32_t i = 0; i < p->model.n_tensors; i++) {
        const sqzt_tensor *a = &p->model.tensors[i], *b = &q->model.tensors[i];
        if (memcmp(a->grad, b->grad, a->n * sizeof *a->grad) != 0)
            fail_msg("%s, %s: other bits with %u threads%s", form, a->name, q->options.members,
                     q->options.recompute ? " and blocks that run again" : "");
    }
}

static void bits_depend_on_neither_threads_nor_running_again(void **state)
{
    (void)state;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
        for (uint32_t variant = 0; variant < 6; variant++) {
            sqzt_pass_options options = variant % 2 ? dropped : plain;
            sqzt_pass p, q;
            options.features = any_features();
            options.members = 1;
            options.recompute = false;
            sqzt_pass_make(&p, &form->tiny, &options);
            sqzt_pass_gradients(&p);
            options.members = 1 + variant / 2;
            options.recompute = variant % 4 < 2;
            sqzt_pass_make(&q, &form->tiny, &options);
            check_same(form->name, &p, &q);
            sqzt_pass_free(&p);
            sqzt_pass_free(&q);
        }
}

/* Inference of the same batch: what a session runs. */
typedef struct inference {
    const sqzt_pass *p;
    sqzi_workspace workspace;
    sqzi_head_scratch scratch;
    sqzi_real *hidden, *out;
} inference;

static void lay_out_inference(inference *r, sqzi_arena *arena)
{
    const sqzt_encoder *model = &r->p->model;
    const uint32_t n = r->p->batch.n_tokens;
    sqzi_workspace_layout(&r->workspace, &model->encoder, n, r->p->batch.longest, 1, arena);
    sqzi_head_layout(&r->scratch, &model->head, 1, arena);
    r->hidden = sqzi_arena_take(arena, (size_t)n * model->encoder.width, sizeof(sqzi_real));
    r->out = sqzi_arena_take(arena, r->p->n_out, sizeof(sqzi_real));
}

static void run_inference(inference *r)
{
    const sqzt_pass *p = r->p;
    const sqzi_team alone = {.members = 1};
    const size_t width = p->model.encoder.width;
    sqzi_encoder_run(&p->model.encoder, &p->batch, NULL, &r->workspace, r->hidden, width, &alone);
    const sqzi_head_args args = {.head = &p->model.head,
                                 .kernels = &p->model.kernels,
                                 .scratch = &r->scratch,
                                 .hidden = r->hidden,
                                 .pooling = p->head.pooling,
                                 .n = p->head.n,
                                 .first = p->first,
                                 .rows = p->head.rows,
                                 .skip = p->head.skip,
                                 .out = r->out,
                                 .ldo = p->head.ldo,
                                 .dimensions = p->head.dimensions,
                                 .normalize = p->head.normalize};
    (p->model.embeds ? sqzi_head_embed : sqzi_head_logits)(&args, &alone);
}

static void the_forward_has_the_bits_of_inference(void **state)
{
    (void)state;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        sqzt_pass p;
        sqzt_pass_options options = dropped;
        options.features = any_features();
        options.dropout = 0;
        sqzt_pass_make(&p, &form->tiny, &options);
        (void)sqzt_pass_loss(&p);
        inference r = {.p = &p};
        sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
        lay_out_inference(&r, &arena);
        const size_t bytes = arena.used;
        unsigned char *memory = sqzi_allocate(&sqzi_default_allocator, bytes);
        assert_non_null(memory);
        arena = sqzi_arena_over(memory, bytes);
        lay_out_inference(&r, &arena);
        run_inference(&r);
        assert_memory_equal(r.hidden, p.pass.hidden,
                            p.batch.n_tokens * p.model.encoder.width * sizeof(sqzi_real));
        for (size_t i = 0; i < p.head.n; i++) /* rows end with a number that nobody writes */
            if (memcmp(r.out + i * p.head.ldo, p.head.out + i * p.head.ldo,
                       (p.head.ldo - 1) * sizeof(sqzi_real)) != 0)
                fail_msg("%s: output %zu has other bits", form->name, i);
        sqzi_release(&sqzi_default_allocator, memory, bytes);
        sqzt_pass_free(&p);
    }
}

static bool is_zero(const sqzt_tensor *tensor)
{
    bool zero = true;
    for (size_t i = 0; i < tensor->n && zero; i++) zero = tensor->grad[i] == 0;
    return zero;
}

/* What is trained has the bits that it has where all is; what is not, no gradient. */
static void what_is_frozen_has_no_gradient_and_changes_no_other(void **state)
{
    static const char *const only[] = {"blk.1",        "blk.0.ffn",
                                       "head",         "token_embd_norm",
                                       "blk.1.attn_k", "blk.0.attn_output_norm",
                                       "position",     NULL};
    (void)state;
    for (uint32_t f = 0; f < 7; f++)
        for (size_t i = 0; i < 8; i++) {
            sqzt_pass all, some;
            sqzt_pass_options options = plain;
            options.features = any_features();
            sqzt_pass_make(&all, &sqzt_tiny_forms[f].tiny, &options);
            options.recompute = i % 2 != 0;
            options.only = only[i];
            options.frozen = only[i] ? NULL : "blk.1.attn_q";
            sqzt_pass_make(&some, &sqzt_tiny_forms[f].tiny, &options);
            sqzt_pass_gradients(&all);
            sqzt_pass_gradients(&some);
            for (uint32_t t = 0; t < all.model.n_tensors; t++) {
                const sqzt_tensor *a = &all.model.tensors[t], *b = &some.model.tensors[t];
                if (*b->grad_at ? memcmp(a->grad, b->grad, a->n * sizeof *a->grad) != 0
                                : !is_zero(b))
                    fail_msg("%s, %s alone: other bits of %s", sqzt_tiny_forms[f].name,
                             only[i] ? only[i] : "blk.1.attn_q frozen", a->name);
            }
            sqzt_pass_free(&all);
            sqzt_pass_free(&some);
        }
}

/* Transformers' padding_idx: [PAD] written in a text. */
static void the_row_of_the_padding_id_has_no_gradient(void **state)
{
    sqzt_pass all, padded;
    sqzt_pass_options options = plain;
    (void)state;
    options.features = any_features();
    sqzt_pass_make(&all, &sqzt_tiny_forms[0].tiny, &options);
    options.padding = all.batch.ids[0];
    sqzt_pass_make(&padded, &sqzt_tiny_forms[0].tiny, &options);
    sqzt_pass_gradients(&all);
    sqzt_pass_gradients(&padded);
    const sqzt_tensor *a = tensor_of(&all, "token_embd.weight"),
                      *b = tensor_of(&padded, "token_embd.weight");
    const size_t width = all.model.encoder.embedding.width;
    for (size_t i = 0; i < a->n; i++)
        if (i / width == options.padding) assert_true(b->grad[i] == 0 && a->grad[i] != 0);
        else assert_true(a->grad[i] == b->grad[i]);
    sqzt_pass_free(&all);
    sqzt_pass_free(&padded);
}

/* A second batch is added to what stands there: so accumulation needs no memory of its own. */
static void a_gradient_is_added_to_what_stands_there(void **state)
{
    sqzt_pass p;
    sqzt_pass_options options = plain;
    (void)state;
    options.features = any_features();
    sqzt_pass_make(&p, &sqzt_tiny_forms[6].tiny, &options);
    sqzt_pass_gradients(&p);
    double *once[SQZT_MOST_TENSORS];
    for (uint32_t t = 0; t < p.model.n_tensors; t++) {
        const sqzt_tensor *tensor = &p.model.tensors[t];
        once[t] = malloc(tensor->n * sizeof(double));
        assert_non_null(once[t]);
        for (size_t i = 0; i < tensor->n; i++) once[t][i] = (double)tensor->grad[i];
    }
    sqzt_pass_add_gradients(&p);
    for (uint32_t t = 0; t < p.model.n_tensors; t++) {
        const sqzt_tensor *tensor = &p.model.tensors[t];
        double off = 0, norm = 0;
        for (size_t i = 0; i < tensor->n; i++) {
            off += pow((double)tensor->grad[i] - 2 * once[t][i], 2);
            norm += pow(once[t][i], 2);
        }
        assert_true(strstr(tensor->name, "attn_k.bias") || (norm > 0 && off < 1e-12 * norm));
        free(once[t]);
    }
    sqzt_pass_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_depend_on_neither_threads_nor_running_again),
        cmocka_unit_test(the_forward_has_the_bits_of_inference),
        cmocka_unit_test(what_is_frozen_has_no_gradient_and_changes_no_other),
        cmocka_unit_test(the_row_of_the_padding_id_has_no_gradient),
        cmocka_unit_test(a_gradient_is_added_to_what_stands_there),
#ifdef SQZI_DOUBLE
        cmocka_unit_test(gradients_of_every_form_are_those_of_differences),
        cmocka_unit_test(gradients_of_every_head_and_pooling_are_those_of_differences),
        cmocka_unit_test(gradients_of_kept_rows_are_added_where_they_pass),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
