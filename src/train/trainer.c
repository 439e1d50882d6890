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

/* Memory of a batch. */
static void lay_out(sqz_trainer *t, sqzi_arena *arena)
{
    const sqzi_gradient_sizes *sizes = &t->facts.sizes;
    const sqzi_gradient_model model = {.encoder = &t->trainable.model->encoder,
                                       .head = &t->trainable.model->head,
                                       .parameters = &t->trainable.parameters,
                                       .kernels = &t->kernels,
                                       .pool = t->context->pool,
                                       .padding = t->gradient.model.padding,
                                       .logits = true};
    const size_t tokens = sizes->max_tokens, sequences = sizes->max_sequences;
    sqzi_packed_part *p = &t->part;
    sqzi_batch_gradient_layout(&t->gradient, &model, sizes, arena);
    p->first = sqzi_arena_take(arena, sequences + 1, sizeof *p->first);
    p->ids = sqzi_arena_take(arena, tokens, sizeof *p->ids);
    p->types = sqzi_arena_take(arena, tokens, sizeof *p->types);
    p->examples = sqzi_arena_take(arena, sequences, sizeof *p->examples);
    p->labels = sqzi_arena_take(arena, tokens, sizeof *p->labels);
    p->targets = sqzi_arena_take(arena, sequences * t->data.n_labels, sizeof *p->targets);
}

static sqz_status make_room(sqz_trainer *t, sqz_error *error)
{
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
    return SQZ_OK;
}

static sqz_status check_arguments(const char *base, const sqz_train_recipe *recipe,
                                  const sqz_train_data *data, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF(!base || !recipe || !data, SQZ_EINVAL, 0, "sqz_trainer_open: an argument is NULL");
    TRY(SQZI_RESERVED(recipe, "sqz_train_recipe", error));
    TRY(SQZI_RESERVED(data, "sqz_train_data", error));
    FAIL_IF(!data->examples || !data->labels || !data->batch, SQZ_EINVAL, 0,
            "sqz_trainer_open: the data's examples, labels or batch is NULL");
    FAIL_IF(data->n_examples == 0 || data->n_labels == 0 || data->n_batches == 0, SQZ_EINVAL, 0,
            "%u examples of %u labels in %u batches: there is nothing to train on",
            data->n_examples, data->n_labels, data->n_batches);
    FAIL_IF(data->n_labels > SQZI_MAX_WIDTH, SQZ_EINVAL, 0, "%u labels, at most %d are possible",
            data->n_labels, SQZI_MAX_WIDTH);
fail:
    return status;
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
                            .bf16 = r->precision == SQZ_PRECISION_BF16};
    TRY(sqzi_trainable_open(t->context, base, &head, &trained, &t->trainable, error));
    sqz_model *model = t->trainable.model;
    FAIL_IF(r->freeze_blocks > model->info.n_layers, SQZ_EINVAL, 0,
            "%u blocks are to be frozen, the model has %u", r->freeze_blocks, model->info.n_layers);
    t->recipe.pooling = trained.pooling;
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
    t->loss = (sqzi_loss){.kind = sqzi_loss_of_problem(t->recipe.problem),
                          .weight = 1,
                          .classes = data->n_labels,
                          .tokens = t->recipe.head == SQZ_HEAD_TOKEN,
                          .smoothing = t->recipe.label_smoothing,
                          .weights = t->recipe.class_weights};
    TRY(open_model(t, base, error));
    t->n_steps = (uint64_t)t->recipe.epochs * data->n_batches;
    t->warmup = sqzi_warmup_steps(t->recipe.warmup, t->n_steps);
    t->state.best_score = NAN;
    sqzk_grad_table_init(&t->kernels, context->kernels.features);
    TRY(sqzi_optimizer_open(&t->trainable.parameters, context->pool, context->kernels.features,
                            &t->optimizer, error));
    TRY(make_room(t, error));
    *out = t;
    return SQZ_OK;
fail:
    sqz_trainer_close(t);
    return status;
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
