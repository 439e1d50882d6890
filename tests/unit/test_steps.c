/* SPDX-License-Identifier: Apache-2.0 */
/* Ten steps of AdamW on the golden tiny models, of every type and head, against PyTorch in float64
 * (tests/reference/steps_compare.py, which compares whole tensors; here sums over them with random
 * signs, whose deviation is the length of what is off).
 *
 *   test_steps write FILE     the numbers after ten steps, as doubles, for that program
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "support/test.h"
#include "support/tiny_pass.h"
#include "train/optimizer.h"
#include "unit/step_vectors.h"

/* Of how far a tensor moves. */
static const double share = sizeof(sqzi_real) == sizeof(double) ? 1e-9 : 3e-4;

/* ---- numbers of counters, as in the program ---- */

static uint64_t bits(uint32_t stream, size_t i)
{
    sqzt_random random = {(((uint64_t)stream << 32) + i) * 0x9E3779B97F4A7C15u};
    return sqzt_bits(&random);
}

static double number(uint32_t stream, size_t i)
{
    return ((double)(bits(stream, i) >> 53) - 1024) / 1024;
}

static double start_of(const step_tensor *t, size_t i)
{
    const size_t n = strlen(t->name), end = strlen("norm.weight");
    const bool gain = n > end && strcmp(t->name + n - end, "norm.weight") == 0;
    return gain + number(t->k, i) / 4;
}

/* ---- a model ---- */

typedef struct scene {
    const step_model *model;
    sqzt_pass pass;
    sqzi_parameters parameters;
    sqzi_optimizer optimizer;
    uint32_t *ids;
    uint8_t *types;
    double key_gradient, gradient; /* lengths in the first step: of keys' biases, and of all */
} scene;

static sqzt_tensor *tensor_of(scene *s, const char *name)
{
    for (uint32_t i = 0; i < s->pass.model.n_tensors; i++)
        if (strcmp(s->pass.model.tensors[i].name, name) == 0) return &s->pass.model.tensors[i];
    fail_msg("%s has no %s", s->model->name, name);
    return NULL;
}

static void set_forms(scene *s)
{
    sqzt_encoder *e = &s->pass.model;
    const step_model *m = s->model;
    e->encoder.embedding.norm.epsilon = (sqzi_real)m->embedding_epsilon;
    for (uint32_t i = 0; i < e->encoder.n_blocks; i++) {
        sqzi_block *block = &e->encoder.blocks[i];
        block->activation = m->block;
        block->attn_norm.epsilon = block->ffn_norm.epsilon = (sqzi_real)m->block_epsilon;
    }
    e->head.norm.epsilon = (sqzi_real)m->head_epsilon;
}

static void open_scene(scene *s, const step_model *model, uint32_t features, uint32_t members)
{
    sqz_error error = {0};
    sqzt_tiny tiny = model->tiny;
    *s = (scene){.model = model};
    tiny.head_activation = (int)model->head;
    /* [PAD], id 0, in a text: its row is not trained */
    const sqzt_pass_options options = {
        .features = features, .members = members, .lengths = {1, 34, 7, 34, 20}, .padding = 0};
    sqzt_pass_make(&s->pass, &tiny, &options);
    set_forms(s);
    for (uint32_t i = 0; i < model->n; i++) {
        sqzt_tensor *t = tensor_of(s, model->tensors[i].name);
        for (size_t j = 0; j < t->n; j++) t->master[j] = (sqzi_real)start_of(&model->tensors[i], j);
    }
    sqzt_assert_ok(
        sqzi_parameters_open(&sqzi_default_allocator, &s->pass.model.encoder, &s->pass.model.head,
                             &(sqzi_trained){.pooling = s->pass.model.head.pooling, .head_rate = 1},
                             &s->parameters, &error),
        &error);
    assert_int_equal(s->parameters.n, model->n);
    sqzt_assert_ok(
        sqzi_optimizer_open(&s->parameters, s->pass.pool, features, &s->optimizer, &error), &error);
    s->ids = malloc(s->pass.batch.n_tokens * sizeof *s->ids);
    s->types = malloc(s->pass.batch.n_tokens);
    assert_true(s->ids && s->types);
    s->pass.batch.ids = s->ids;
    if (s->pass.batch.types) s->pass.batch.types = s->types;
}

static void close_scene(scene *s)
{
    free(s->ids);
    free(s->types);
    sqzi_optimizer_close(&s->optimizer);
    sqzi_parameters_close(&s->parameters);
    sqzt_pass_free(&s->pass);
}

static void draw_batch(scene *s, uint32_t step)
{
    const sqzi_head_pass *head = &s->pass.head;
    const size_t classes = head->ldo - 1;
    for (uint32_t t = 0; t < s->pass.batch.n_tokens; t++) {
        s->ids[t] = (uint32_t)(bits(IDS + step, t) % SQZT_TINY_VOCABULARY);
        s->types[t] = bits(TYPES + step, t) % 2;
    }
    for (size_t i = 0; i < head->n * classes; i++)
        s->pass.targets[i / classes * head->ldo + i % classes] = (sqzi_real)number(TARGETS + step,
                                                                                   i);
}

/* Gradients to the parameters, or their masters to the model. */
static void carry(scene *s, bool gradients)
{
    for (uint32_t i = 0; i < s->parameters.n; i++) {
        const sqzi_parameter *p = &s->parameters.list[i];
        sqzt_tensor *t = tensor_of(s, p->entry.name);
        assert_int_equal(p->n, t->n);
        assert_true(p->trained);
        if (gradients) memcpy(p->gradient, t->grad, t->n * sizeof *t->grad);
        else memcpy(t->master, p->master, t->n * sizeof *t->master);
    }
}

static double key_length(const scene *s)
{
    double squares = 0;
    for (uint32_t i = 0; i < s->parameters.n; i++) {
        const sqzi_parameter *p = &s->parameters.list[i];
        for (size_t j = 0; strstr(p->entry.name, "attn_k.bias") && j < p->n; j++)
            squares += (double)p->gradient[j] * (double)p->gradient[j];
    }
    return sqrt(squares);
}

static void train(scene *s)
{
    sqzi_adamw adamw = {
        .rate = RATE, .decay = DECAY, .beta1 = 0.9, .beta2 = 0.999, .epsilon = EPSILON};
    for (uint32_t i = 0; i < s->parameters.n; i++) {
        const sqzi_parameter *p = &s->parameters.list[i];
        memcpy(p->master, tensor_of(s, p->entry.name)->master, p->n * sizeof *p->master);
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        draw_batch(s, step);
        sqzt_pass_gradients(&s->pass);
        carry(s, true);
        const double norm = sqzi_optimizer_norm(&s->optimizer);
        if (step == 0) {
            s->key_gradient = key_length(s);
            s->gradient = norm;
        }
        adamw.scale = sqzi_clip_scale(norm, CLIP);
        adamw.t = step + 1;
        sqzi_optimizer_step(&s->optimizer, &adamw);
        carry(s, false);
    }
}

/* ---- what comes of it ---- */

static void check_tensor(const char *level, scene *s, const step_tensor *t)
{
    const sqzt_tensor *found = tensor_of(s, t->name);
    for (uint32_t j = 0; j < SIGNS; j++) {
        double sum = 0;
        for (size_t i = 0; i < found->n; i++) {
            const double move = (double)found->master[i] - start_of(t, i);
            sum += bits(ALONG + SIGNS * t->k + j, i) >> 63 ? -move : move;
        }
        if (!(fabs(sum - t->along[j]) <= share * t->moved))
            fail_msg("%s, %s, %s: sum %u is %.15g instead of %.15g, which is %g of its move", level,
                     s->model->name, t->name, j, sum, t->along[j],
                     fabs(sum - t->along[j]) / t->moved);
    }
}

static void ten_steps_are_those_of_torch(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t features;
    } levels[] = {{"portable", 0},
#ifndef SQZI_DOUBLE
                  {"avx2", SQZI_CPU_SSE2 | SQZI_CPU_AVX2},
                  {"avx512", SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512},
                  {"neon", SQZI_CPU_NEON}
#endif
    };
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        if (levels[l].features & ~sqzi_cpu_detect()) {
            printf("%s: not run here\n", levels[l].name);
            continue;
        }
        for (size_t m = 0; m < sizeof step_models / sizeof *step_models; m++) {
            scene s;
            open_scene(&s, &step_models[m], levels[l].features, 2);
            train(&s);
            for (uint32_t i = 0; i < s.model->n; i++)
                if (!strstr(s.model->tensors[i].name, "attn_k.bias"))
                    check_tensor(levels[l].name, &s, &s.model->tensors[i]);
            close_scene(&s);
        }
    }
}

/* A key's bias adds one number to all scores of a query, which the softmax does not see: what is
 * there is rounding, and PyTorch's does not move either. */
static void biases_of_keys_have_no_gradient(void **state)
{
    (void)state;
    const double unit = sizeof(sqzi_real) == sizeof(double) ? 0x1p-53 : 0x1p-24;
    for (size_t m = 0; m < sizeof step_models / sizeof *step_models; m++) {
        scene s;
        open_scene(&s, &step_models[m], 0, 1);
        train(&s);
        assert_true(s.gradient > 1);
        if (!(s.key_gradient <= 16 * unit * s.gradient))
            fail_msg("%s: %g of %g", s.model->name, s.key_gradient, s.gradient);
        for (uint32_t i = 0; i < s.model->n; i++)
            if (strstr(s.model->tensors[i].name, "attn_k.bias"))
                assert_true(s.model->tensors[i].moved < 1e-9);
        close_scene(&s);
    }
}

static int write_numbers(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file) return 1;
    for (size_t m = 0; m < sizeof step_models / sizeof *step_models; m++) {
        scene s;
        open_scene(&s, &step_models[m], sizeof(sqzi_real) == 8 ? 0 : sqzi_cpu_detect(), 1);
        train(&s);
        for (uint32_t i = 0; i < s.model->n; i++) {
            const sqzt_tensor *t = tensor_of(&s, s.model->tensors[i].name);
            for (size_t j = 0; j < t->n; j++) {
                const double x = (double)t->master[j];
                if (fwrite(&x, sizeof x, 1, file) != 1) return 1;
            }
        }
        close_scene(&s);
    }
    return fclose(file) != 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write") == 0) return write_numbers(argv[2]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(ten_steps_are_those_of_torch),
                                       cmocka_unit_test(biases_of_keys_have_no_gradient)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
