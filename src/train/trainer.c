/* SPDX-License-Identifier: Apache-2.0 */
/* Making a trainer, and writing what it has. */
#include "train/trainer.h"

#include <math.h>

#include "base/error.h"
#include "train/recipe.h"
#include "train/schedule.h"

static const sqz_allocator *allocator_of(const sqz_trainer *t)
{
    return &t->context->allocator;
}

static sqzi_gradient_model gradient_model(const sqz_trainer *t)
{
    const sqz_model *model = t->trainable.model;
    sqzi_gradient_model m = {.encoder = &model->encoder,
                             .head = &model->head,
                             .parameters = &t->trainable.parameters,
                             .kernels = &t->kernels,
                             .pool = t->context->pool,
                             .padding = t->gradient.model.padding,
                             .logits = (t->loss.kind->reads & SQZI_READS_LOGITS) != 0};
    if (t->loss.kind->reads & SQZI_READS_EMBEDDINGS)
        m.embed = (sqzi_embedding_use){model->info.pooling, model->info.dimensions,
                                       model->info.normalize != 0};
    return m;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void lay_out_whole(sqz_trainer *t, sqzi_arena *arena)
{
    const size_t n = t->facts.max_examples, numbers = n * t->loss.texts * t->loss.dimensions;
    t->whole.embeddings = sqzi_arena_take(arena, numbers, sizeof *t->whole.embeddings);
    t->whole.d = sqzi_arena_take(arena, numbers, sizeof *t->whole.d);
    t->whole.scratch = sqzi_arena_take(arena, t->loss.kind->room(&t->loss, n),
                                       sizeof *t->whole.scratch);
}

/* As many rows as a batch may have distinct words. */
static void lay_out_words(sqz_trainer *t, sqzi_arena *arena)
{
    const sqzi_table *table = &t->trainable.model->encoder.embedding.word;
    sqzi_parameters *p = &t->trainable.parameters;
    const uint64_t most = t->facts.max_batch_tokens;
    if (p->gradients.embedding.word_rows)
        sqzi_row_list_layout(&p->words, table->n_rows, table->width,
                             most < table->n_rows ? (uint32_t)most : table->n_rows, arena);
}

/* Memory of a batch. */
static void lay_out(sqz_trainer *t, sqzi_arena *arena)
{
    const sqzi_gradient_sizes *sizes = &t->facts.sizes;
    const sqzi_gradient_model model = gradient_model(t);
    const size_t tokens = sizes->max_tokens, sequences = sizes->max_sequences,
                 items = larger(tokens, t->facts.max_examples);
    sqzi_packed_part *p = &t->part;
    sqzi_batch_gradient_layout(&t->gradient, &model, sizes, arena);
    p->first = sqzi_arena_take(arena, sequences + 1, sizeof *p->first);
    p->ids = sqzi_arena_take(arena, tokens, sizeof *p->ids);
    p->types = sqzi_arena_take(arena, tokens, sizeof *p->types);
    p->examples = sqzi_arena_take(arena, sequences, sizeof *p->examples);
    p->views = sqzi_arena_take(arena, sequences, sizeof *p->views);
    p->skip = sqzi_arena_take(arena, sequences, sizeof *p->skip);
    p->labels = sqzi_arena_take(arena, items, sizeof *p->labels);
    p->targets = sqzi_arena_take(arena, t->facts.max_examples,
                                 t->loss.classes * sizeof *p->targets);
    if (t->loss.kind->across) lay_out_whole(t, arena);
    lay_out_words(t, arena);
}

sqz_status sqzi_trainer_make_room(sqz_trainer *t, sqz_error *error)
{
    if (t->block) return SQZ_OK;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(t, &arena);
    t->block = arena.used == SIZE_MAX ? NULL : sqzi_allocate(allocator_of(t), arena.used);
    if (!t->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0,
                         "no memory for %zu bytes of a batch: make it smaller, or accumulate over "
                         "more parts",
                         arena.used);
    t->bytes = arena.used;
    arena = sqzi_arena_over(t->block, t->bytes);
    lay_out(t, &arena);
    if (t->trainable.parameters.gradients.embedding.word_rows)
        sqzi_row_list_begin(&t->trainable.parameters.words);
    return SQZ_OK;
}

static sqz_status check_arguments(const char *base, const sqz_train_recipe *recipe,
                                  const sqz_train_data *data, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF(!base || !recipe || !data, SQZ_EINVAL, 0, "sqz_trainer_open: an argument is NULL");
    TRY(SQZI_RESERVED(recipe, "sqz_train_recipe", error));
    TRY(SQZI_RESERVED(data, "sqz_train_data", error));
    FAIL_IF(!data->examples || !data->batch || (!data->labels && !recipe->loss), SQZ_EINVAL, 0,
            "sqz_trainer_open: the data's examples, labels or batch is NULL");
    FAIL_IF(data->n_examples == 0 || (data->n_labels == 0) != (recipe->loss != SQZ_LOSS_HEAD) ||
                data->n_batches == 0,
            SQZ_EINVAL, 0, "%u examples of %u labels in %u batches: there is nothing to train on",
            data->n_examples, data->n_labels, data->n_batches);
    FAIL_IF(data->n_labels > SQZI_MAX_WIDTH, SQZ_EINVAL, 0, "%u labels, at most %d are possible",
            data->n_labels, SQZI_MAX_WIDTH);
fail:
    return status;
}

static sqzi_loss loss_of(const sqz_train_recipe *r, const sqz_train_data *data)
{
    const sqzi_loss_kind *kind = r->loss ? sqzi_loss_find(sqzi_recipe_loss(r->loss))
                                         : sqzi_loss_of_problem(r->problem);
    return (sqzi_loss){.kind = kind,
                       .weight = 1,
                       .classes = r->loss ? 1 : data->n_labels,
                       .tokens = r->head == SQZ_HEAD_TOKEN,
                       .smoothing = r->label_smoothing,
                       .weights = r->class_weights,
                       .texts = data->texts ? data->texts : 1,
                       .scale = r->scale,
                       .symmetric = r->symmetric != 0};
}

static sqz_status open_model(sqz_trainer *t, const char *base, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_train_recipe *r = &t->recipe;
    const sqzi_wanted_head head = {.kind = r->head,
                                   .problem = r->problem,
                                   .pooling = r->pooling,
                                   .labels = t->data.labels,
                                   .n_labels = t->data.n_labels,
                                   .keep = r->keep_head != 0,
                                   .seed = r->seed};
    sqzi_trained trained = {.freeze_embeddings = r->freeze_embeddings != 0,
                            .freeze_blocks = r->freeze_encoder ? UINT32_MAX : r->freeze_blocks,
                            .head_rate = r->lr > 0 ? r->head_lr / r->lr : 1,
                            .bf16 = r->precision == SQZ_PRECISION_BF16,
                            .list_words = true};
    TRY(sqzi_trainable_open(t->context, base, &head, &trained, &t->trainable, error));
    sqz_model *model = t->trainable.model;
    FAIL_IF(r->freeze_blocks > model->info.n_layers, SQZ_EINVAL, 0,
            "%u blocks are to be frozen, the model has %u", r->freeze_blocks, model->info.n_layers);
    FAIL_IF(!t->trainable.parameters.n_trained, SQZ_EINVAL, 0,
            "all of the model is frozen: there is nothing to train");
    t->recipe.pooling = trained.pooling;
    t->loss.dimensions = model->info.dimensions;
    t->gradient.model.padding = UINT32_MAX;
    TRY(sqzi_gguf_get_u32(model->gguf, "tokenizer.ggml.padding_token_id", false,
                          &t->gradient.model.padding, error));
    TRY(sqzi_trainer_check_data(&t->data, r, &t->loss, &model->info, &t->facts, error));
fail:
    return status;
}

sqz_status sqz_trainer_open(sqz_context *context, const char *base, const sqz_train_recipe *recipe,
                            const sqz_train_data *data, sqz_trainer **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_trainer *t = NULL;
    FAIL_IF(!context || !out, SQZ_EINVAL, 0, "sqz_trainer_open: an argument is NULL");
    TRY(check_arguments(base, recipe, data, error));
    t = sqzi_allocate_zeroed(&context->allocator, 1, sizeof *t);
    FAIL_IF(!t, SQZ_ENOMEM, 0, "no memory for a trainer");
    t->context = context;
    t->data = *data;
    TRY(sqzi_recipe_settle(recipe, data, &t->recipe, error));
    t->loss = loss_of(&t->recipe, data);
    TRY(open_model(t, base, error));
    t->n_steps = (uint64_t)t->recipe.epochs * data->n_batches;
    t->warmup = sqzi_warmup_steps(t->recipe.warmup, t->n_steps);
    t->state.best_score = NAN;
    sqzk_grad_table_init(&t->kernels, context->kernels.features);
    TRY(sqzi_optimizer_open(&t->trainable.parameters, context->pool, context->kernels.features,
                            &t->optimizer, error));
    TRY(sqzi_trainer_make_room(t, error));
    *out = t;
    return SQZ_OK;
fail:
    sqz_trainer_close(t);
    return status;
}

void sqzi_trainer_free_room(sqz_trainer *t)
{
    sqzi_release(allocator_of(t), t->block, t->bytes);
    t->block = NULL;
}

void sqz_trainer_close(sqz_trainer *t)
{
    if (!t) return;
    const sqz_allocator allocator = t->context->allocator;
    sqzi_release(&allocator, t->best, t->n_best * sizeof *t->best);
    sqzi_release(&allocator, t->block, t->bytes);
    sqzi_optimizer_close(&t->optimizer);
    sqzi_trainable_close(&t->trainable);
    sqzi_release(&allocator, t, sizeof *t);
}

const sqz_model *sqz_trainer_model(const sqz_trainer *t)
{
    return t->trainable.model;
}

uint64_t sqzi_trainer_end(const sqz_trainer *t)
{
    const uint64_t most = t->recipe.max_steps;
    return most && most < t->n_steps ? most : t->n_steps;
}

uint64_t sqz_trainer_steps(const sqz_trainer *t)
{
    return sqzi_trainer_end(t);
}

size_t sqz_trainer_memory(const sqz_trainer *t)
{
    const sqzi_trainable *model = &t->trainable;
    return model->model->weights.capacity + model->packed.capacity + model->parameters.bytes +
           t->optimizer.bytes + t->bytes;
}

sqz_status sqz_trainer_write(const sqz_trainer *t, const char *path, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char history[SQZI_RECIPE_LINE];
    sqzi_gguf_writer *writer = NULL;
    sqzi_references references = {0};
    FAIL_IF(!t || !path, SQZ_EINVAL, 0, "sqz_trainer_write: an argument is NULL");
    sqzi_recipe_history(&t->recipe, history);
    TRY(sqzi_gguf_writer_open(allocator_of(t), &writer, error));
    TRY(sqzi_trainable_put(&t->trainable, history, writer, error));
    TRY(sqzi_references_invent(&references, allocator_of(t), &t->trainable.model->info, error));
    TRY(sqzi_rewrite_write(writer, &references, path, error));
fail:
    sqzi_references_discard(&references);
    sqzi_gguf_writer_close(writer);
    return status;
}
