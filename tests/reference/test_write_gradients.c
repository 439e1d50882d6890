/* SPDX-License-Identifier: Apache-2.0 */
/* For gradients_compare.py: the gradients of a model file's numbers, in the place of the numbers.
 *
 *   write_gradients MODEL.gguf BATCH OUT.gguf
 *
 * BATCH, little endian: u32 sequences, tokens, rows, K, padding; u32 first[sequences + 1],
 * ids[tokens], types[tokens]; f32 d_logits[rows, K]: the loss is the sum of logits times these. */
#include <stdio.h>
#include <stdlib.h>

#include "model/loader.h"
#include "nn/head_grad.h"
#include "support/test.h"
#include "train/trainable.h"

typedef struct batch_file {
    uint32_t sequences, tokens, rows, classes, padding;
    uint32_t *first, *ids, *types;
    float *d_logits;
} batch_file;

static void *read_numbers(FILE *file, size_t n)
{
    uint32_t *numbers = malloc(n * sizeof *numbers);
    if (!numbers || fread(numbers, sizeof *numbers, n, file) != n) exit(2);
    return numbers;
}

static batch_file read_batch(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) exit(2);
    uint32_t *n = read_numbers(file, 5);
    batch_file b = {n[0], n[1], n[2], n[3], n[4], NULL, NULL, NULL, NULL};
    free(n);
    b.first = read_numbers(file, b.sequences + 1);
    b.ids = read_numbers(file, b.tokens);
    b.types = read_numbers(file, b.tokens);
    b.d_logits = read_numbers(file, (size_t)b.rows * b.classes);
    fclose(file);
    return b;
}

static void check(sqz_status status, const sqz_error *error)
{
    if (status == SQZ_OK) return;
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

/* What both directions work in. */
typedef struct passes {
    sqzi_workspace workspace;
    sqzi_encoder_tape tape;
    sqzi_head_tape head_tape;
    sqzi_real *hidden, *d_hidden, *logits;
} passes;

static void lay_out(passes *p, const sqzi_trainable *t, const batch_file *b, sqzi_arena *arena)
{
    const sqzi_encoder *encoder = &t->model->encoder;
    const size_t rows = (size_t)b->tokens * encoder->width;
    sqzi_workspace_layout(&p->workspace, encoder, b->tokens, b->tokens, 1, arena);
    sqzi_encoder_tape_layout(&p->tape, encoder, &t->parameters.gradients,
                             &(sqzi_tape_sizes){.max_tokens = b->tokens,
                                                .max_length = b->tokens,
                                                .members = 1},
                             arena);
    sqzi_head_tape_layout(&p->head_tape, &t->model->head, false, b->rows, 1, arena);
    p->hidden = sqzi_arena_take(arena, rows, sizeof *p->hidden);
    p->d_hidden = sqzi_arena_take(arena, rows, sizeof *p->d_hidden);
    p->logits = sqzi_arena_take(arena, (size_t)b->rows * b->classes, sizeof *p->logits);
}

static void run(const sqzi_trainable *t, const batch_file *b, passes *p)
{
    const sqzi_team alone = {.members = 1};
    const sqzi_parameters *q = &t->parameters;
    const sqz_model *model = t->model;
    uint8_t *types = malloc(b->tokens);
    sqzk_grad_table kernels;
    sqzk_grad_table_init(&kernels, model->context->kernels.features);
    for (uint32_t i = 0; types && i < b->tokens; i++) types[i] = (uint8_t)b->types[i];
    const sqzi_batch batch = {b->sequences, b->tokens, b->tokens, b->first, b->ids, types};
    const sqzi_encoder_pass encoder = {.encoder = &model->encoder,
                                       .kernels = &kernels,
                                       .masters = &q->masters,
                                       .grads = &q->gradients,
                                       .workspace = &p->workspace,
                                       .tape = &p->tape,
                                       .batch = &batch,
                                       .padding = b->padding,
                                       .hidden = p->hidden};
    const sqzi_head_pass head = {.head = &model->head,
                                 .kernels = &model->context->kernels,
                                 .grad_kernels = &kernels,
                                 .masters = &q->head_masters,
                                 .grads = &q->head_gradients,
                                 .tied_masters = &q->masters.embedding,
                                 .tied_grads = &q->gradients.embedding,
                                 .tape = &p->head_tape,
                                 .layer = 1 + model->encoder.n_blocks,
                                 .hidden = p->hidden,
                                 .n_tokens = b->tokens,
                                 .n_sequences = b->sequences,
                                 .first = b->first,
                                 .pooling = model->head.pooling,
                                 .n = b->rows,
                                 .out = p->logits,
                                 .ldo = b->classes};
    sqzi_encoder_forward(&encoder, &alone);
    sqzi_head_forward(&head, &alone);
    sqzi_head_backward(&head, b->d_logits, p->d_hidden, &alone);
    sqzi_encoder_backward(&encoder, p->d_hidden, &alone);
    free(types);
}

/* The model with its own head, whatever that is. */
static void open_model(sqz_context *context, const char *path, sqzi_trainable *t)
{
    sqz_error error = {0};
    sqz_model *model;
    check(sqz_model_open(context, path, &model, &error), &error);
    const sqz_model_info *info = sqz_model_get_info(model);
    const char **labels = calloc(info->n_labels, sizeof *labels);
    if (!labels) exit(2);
    for (uint32_t i = 0; i < info->n_labels; i++)
        labels[i] = model->labels ? model->labels[i] : "none";
    const sqzi_wanted_head wanted = {.kind = info->head,
                                     .problem = info->problem,
                                     .pooling = model->head.pooling,
                                     .labels = labels,
                                     .n_labels = info->n_labels,
                                     .keep = true};
    sqzi_trained trained = {.head_rate = 1};
    check(sqzi_trainable_open(context, path, &wanted, &trained, t, &error), &error);
    sqz_model_close(model);
    free(labels);
}

/* What is not trained has none. */
static void put_gradients(sqzi_trainable *t)
{
    for (uint32_t i = 0; i < t->parameters.n; i++) {
        const sqzi_parameter *p = &t->parameters.list[i];
        if (p->gradient) memcpy(p->master, p->gradient, p->n * sizeof *p->master);
        else memset(p->master, 0, p->n * sizeof *p->master);
    }
}

static void write_model(const sqzi_trainable *t, const char *path)
{
    sqz_error error = {0};
    sqzi_gguf_writer *writer;
    sqzi_references none = {.allocator = &t->model->context->allocator};
    check(sqzi_gguf_writer_open(none.allocator, &writer, &error), &error);
    check(sqzi_trainable_put(t, false, "gradients", "", writer, &error), &error);
    check(sqzi_rewrite_write(writer, &none, path, &error), &error);
    sqzi_gguf_writer_close(writer);
}

int main(int argc, char **argv)
{
    sqz_error error = {0};
    sqz_context *context;
    sqzi_trainable t;
    passes p;
    if (argc != 4) return 2;
    const batch_file b = read_batch(argv[2]);
    check(sqz_context_open(NULL, &context, &error), &error);
    open_model(context, argv[1], &t);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&p, &t, &b, &arena);
    void *memory = sqzi_allocate(&t.model->context->allocator, arena.used);
    if (!memory) return 2;
    arena = sqzi_arena_over(memory, arena.used);
    lay_out(&p, &t, &b, &arena);
    run(&t, &b, &p);
    put_gradients(&t);
    write_model(&t, argv[3]);
    sqzi_release(&t.model->context->allocator, memory, arena.capacity);
    sqzi_trainable_close(&t);
    sqz_context_close(context);
    return 0;
}
