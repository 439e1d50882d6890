/* SPDX-License-Identifier: Apache-2.0 */
/* Training a model on examples, for a head or for embeddings: fine-tuning of every weight of a
 * float model file, or of its last blocks, or of the head alone. In libsqueezebert-full.
 *
 *     sqz_trainer_open(context, base, &recipe, &data, &trainer, &error)
 *     sqz_trainer_run(trainer, &run, &result, &error)
 *     sqz_trainer_write(trainer, out, &error)
 *     sqz_trainer_close(trainer)
 *
 * A step, for t = 1 .. T, T = epochs * batches of an epoch:
 *
 *     L = mean over the batch of the loss of head(dropout(encoder(pieces))), or sqz_train_loss
 *     g = dL / dw;  c = min(1, clip / (|g| + 1e-6)), |g| over all trained numbers
 *     m = b1 m + (1 - b1) c g;  v = b2 v + (1 - b2) (c g)^2
 *     w = w (1 - e_t decay) - e_t / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + epsilon)
 *     e_t = lr * f(t - 1);  f(s) = s / W while s < W = floor(warmup T), then the schedule
 *
 * which is AdamW as torch.optim has it (decay of matrices and tables, none of biases and norms),
 * sums of losses and of |g| in double, all else f32 but what sqz_precision says. Bits depend on the
 * kernels' level, the recipe and the data; not on threads, nor on how often a run was evaluated,
 * stopped and resumed.
 *
 * Not safe to be used by two threads at once; its work is shared out to the context's threads.
 */
#ifndef SQUEEZEBERT_TRAIN_H
#define SQUEEZEBERT_TRAIN_H

#include <squeezebert/distil.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One example: the pieces of a text, or of a pair read together, with the tokenizer's special ones.
 * Where embeddings are trained, an example is several texts, each a struct of its own; the label is
 * the first one's.
 *
 *   ids, types    [n_tokens], as in sqz_batch; types NULL: all 0
 *   skip          of embeddings: pieces at the beginning that pooling leaves out, < n_tokens
 *   label         SQZ_SINGLE_LABEL of a sequence head: its class, < K
 *   values        SQZ_REGRESSION: [K] numbers; SQZ_MULTI_LABEL: [K] of 0 to 1; SQZ_LOSS_COSINE,
 *                 _COSENT: [1] the score of the pair; else NULL
 *   token_labels  SQZ_HEAD_TOKEN: [n_tokens] classes, -1 for a piece without one; else NULL
 *   unlabelled    of a distillation, 1: it has no label, the three above are not looked at, and the
 *                 mean of the loss LABELS is over the others of its batch
 *   teachers      of a distillation whose teacher has another vocabulary: n_tokens, ids and types
 *                 of the same text as it reads them; of all examples or of none; else NULL
 */
typedef struct sqz_train_example {
    uint32_t n_tokens;
    uint32_t label;
    const uint32_t *ids;
    const uint8_t *types;
    const float *values;
    const int32_t *token_labels;
    uint32_t skip, unlabelled;
    const struct sqz_train_example *teachers;
    uint64_t reserved[3];
} sqz_train_example;

enum { SQZ_MOST_TEXTS = 64 }; /* of an example */

/* What is trained on, and in which order. All of it outlives the trainer and does not change.
 *
 *   examples      [n_examples, texts]
 *   texts         of an example; 0 = 1. More where embeddings are trained (sqz_train_loss)
 *   labels        [n_labels] names of the classes (of the numbers, for regression), in the order of
 *                 logits; embeddings have none, nor what a distillation learns without labels: NULL
 *                 and 0, those of examples are not looked at then
 *   n_batches     of an epoch
 *   batch         *rows [*n] = the examples of batch i of epoch e, n >= 1; valid until the next
 *                 call. The same answer each time it is asked: it is what makes a run repeatable.
 *                 Asked once for every batch of every epoch when the trainer is opened, then in
 *                 the course of the run
 *   user          what batch is called with
 *   task          the task of GLUE that it is, "sst2", for the file to say (doc/format.md:
 *                 sqz.task); NULL: none
 */
typedef struct sqz_train_data {
    const sqz_train_example *examples;
    uint32_t n_examples, texts;
    const char *const *labels;
    uint32_t n_labels;
    uint32_t n_batches;
    sqz_status (*batch)(void *user, uint32_t epoch, uint32_t i, const uint32_t **rows, uint32_t *n,
                        sqz_error *error);
    void *user;
    const char *task;
    uint64_t reserved[3];
} sqz_train_data;

typedef enum sqz_schedule {
    SQZ_SCHEDULE_LINEAR,  /* f(s) = (T - s) / (T - W) */
    SQZ_SCHEDULE_COSINE,  /* (1 + cos(pi (s - W) / (T - W))) / 2 */
    SQZ_SCHEDULE_CONSTANT /* 1 */
} sqz_schedule;

/* In what the matrix products of both directions are computed. Weights, gradients, moments, norms,
 * softmax and all sums are f32 either way.
 *
 *   F32    the model, as sqz_trainer_model has it, is that of the file that is written: equal bits
 *   BF16   matrices, and the rows that they meet, are rounded to bf16 (8 bits) for each product,
 *          to nearest even, and rows between the layers are kept so. The model computes as the file
 *          does after sqz_quantize to bf16 with its tables kept in f32 (`quantize --type bf16
 *          --keep '_embd\.weight|token_types'`): equal bits. What is written is the f32 weights
 */
typedef enum sqz_precision { SQZ_PRECISION_F32, SQZ_PRECISION_BF16 } sqz_precision;

/* Training through the rounding with which the matrices of the blocks, and those of a factorised or
 * projected embedding, will be stored (doc/format.md): int8 rows, or packed rows of 4 or 3 bits.
 *
 *   forward    as inference runs the file: y = W' x', W' the rounded rows, x' what comes in rounded
 *              to int8; the same kernels, but for activations, which are exact where inference is
 *              as exact as 8 bits ask for
 *   backward   of y = W' x in floats, at W'; the gradient of W' goes to f32 weights W behind the
 *              rounding unchanged, and that of x' to x (straight through)
 *   step       of W; then W' is W rounded to nearest, scales and multipliers chosen anew by the
 *              rule that quantising has: a function of W alone
 *
 * What is written is W' itself, and with products in f32 the model, as sqz_trainer_model has it, is
 * that of the file: equal bits; checkpoints hold W. Norms, biases, tables of floats, pooler and
 * head stay f32. The base may be of floats, int8 or packed rows, which are expanded. Costs 9 bytes
 * a weight, and once a step a nanosecond a weight for s8, 10 to 20 for s4 and s3.
 *
 * STORED: each matrix, those of pooler and head too, as the base has it: int8, packed rows of 4 or
 * 3 bits, floats. So what is written has the base's tensors, and its bytes. */
typedef enum sqz_fake_quantise {
    SQZ_FAKE_QUANTISE_NONE,
    SQZ_FAKE_QUANTISE_S8,
    SQZ_FAKE_QUANTISE_S4,
    SQZ_FAKE_QUANTISE_S3,
    SQZ_FAKE_QUANTISE_STORED
} sqz_fake_quantise;

/* What is made small. Of a head its problem says it; else it is the vectors that sqz_embed has of
 * texts, across the n examples of a batch, c being the cosine of two texts of an example:
 *
 *   HEAD      the head's problem
 *   COSINE    pairs with scores t:  mean (c - t)^2
 *   COSENT    pairs with scores t:  log(1 + sum over i, j with t_i > t_j of e^(scale (c_j - c_i)))
 *   RANKING   texts 0 and 1 belong together, texts 2 and more do not belong to text 0: the mean
 *             cross entropy, logits scale * c, of text 1 of an example among texts 1 and more of
 *             all examples. A text that stands twice in a batch would be its own negative
 *             (sqz_batches_options.distinct). With symmetric: the mean of that and of text 0 among
 *             texts 0 of all examples
 *
 * as sentence-transformers' CosineSimilarityLoss, CoSENTLoss and MultipleNegativesRankingLoss (with
 * symmetric, directions query_to_doc and doc_to_query, each its own softmax). A batch that is run
 * in parts has the loss of the whole batch: its parts then run forward twice.
 */
typedef enum sqz_train_loss {
    SQZ_LOSS_HEAD,
    SQZ_LOSS_COSINE,
    SQZ_LOSS_COSENT,
    SQZ_LOSS_RANKING
} sqz_train_loss;

/* What decides the result. Zero-initialise for the defaults in brackets; where 0 would be a choice
 * of its own, a number below 0 is that choice.
 *
 *   loss           [head]; of embeddings: there is no head, nor is one in the file that is
 *                  written; head, problem, keep_head, label_smoothing and class_weights stay 0
 *   scale          [20] of cosines, COSENT and RANKING alone
 *   symmetric      1: RANKING both ways
 *   head           [sequence] or SQZ_HEAD_TOKEN
 *   problem        [single label] cross entropy, mean over the batch's labelled items, weighted by
 *                  class_weights; multi label: binary cross entropy, mean over items and classes;
 *                  regression: mean squared error
 *   pooling        of a sequence head: mean, cls or pooler [what the base's head reads where that
 *                  goes on, else the pooler where there is one, else the mean]. Of embeddings any
 *                  that makes one vector of a text [as the file says]
 *   keep_head      1: the base's head goes on, SQZ_EINVAL where it does not fit; 0: it does where
 *                  kind, problem, pooling and labels are the same, in any order (labels that nobody
 *                  named fit any of that number), else the model gets a new one: a linear of what
 *                  is pooled, weights normal with deviation 0.02, bias 0; of a base that answers
 *                  with classes sqz_train_run.note is told why
 *   epochs         [5]
 *   max_steps      [all] stops early; the schedule stays that of all epochs
 *   lr, head_lr    [5e-5]; of the head's dense and output [lr]
 *   schedule       [linear]; warmup [0.1, below 0: none]: share of all steps
 *   weight_decay   [0.01, below 0: none]; beta1 [0.9], beta2 [0.999], epsilon [1e-6]
 *   clip           [1, below 0: none] the largest norm of the gradient
 *   dropout        [0.1, below 0: none] < 1, of the embedding, the softmax, both outputs of a block
 *                  and what the head's output reads
 *   label_smoothing   [0] < 1: that share of a label is spread over all classes
 *   class_weights  [NULL] [n_labels] > 0: of single labels a factor of each class's loss, of multi
 *                  labels one of the loss where the label is set (pos_weight). Outlives the trainer
 *   accumulate     [1] parts that a batch is run in, one after the other: less memory, and the same
 *                  gradient but for rounding
 *   freeze_embeddings, freeze_blocks   1; the first so many blocks, and the embeddings
 *   freeze_encoder 1: everything but the head, and the pooler where the head reads it. What is
 *                  frozen may hold integers
 *   seed           of dropout and of a new head
 *   precision      [f32]
 *   fake_quantise  [none]
 *   recompute      1: of each block only what it reads is kept, and the block runs once more before
 *                  its backward: less memory, about a third more time, equal bits
 *   distil         [NULL] what is learned of a teacher (distil.h). Where that is neither labels nor
 *                  logits, the base's head stays as it is, and head, problem, pooling, keep_head
 *                  and what is of labels are not looked at; where it is logits without labels, they
 *                  are the teacher's. Not looked at after sqz_trainer_open
 */
typedef struct sqz_train_recipe {
    sqz_train_loss loss;
    double scale;
    int symmetric;
    sqz_head_kind head;
    sqz_problem problem;
    sqz_pooling pooling;
    int keep_head;
    uint32_t epochs;
    uint64_t max_steps;
    double lr, head_lr;
    sqz_schedule schedule;
    double warmup, weight_decay, beta1, beta2, epsilon, clip, dropout, label_smoothing;
    const float *class_weights;
    uint32_t accumulate;
    int freeze_embeddings, freeze_encoder;
    uint32_t freeze_blocks;
    uint64_t seed;
    sqz_precision precision;
    sqz_fake_quantise fake_quantise;
    int recompute;
    const sqz_distil_recipe *distil;
    uint64_t reserved[8];
} sqz_train_recipe;

/* After each step.
 *
 *   step, n_steps   steps done, and all of the run
 *   epoch           of the batch, from 0
 *   loss            of the batch, before the step
 *   norm            of the gradient, before clipping
 *   rate            e_t
 *   n_tokens        of the batch
 *   tokens_per_second, seconds_left   over the steps of this call; 0 after the first
 *   losses          of a distillation: the parts of loss, each times its weight
 */
typedef struct sqz_train_progress {
    uint64_t step, n_steps;
    uint32_t epoch, n_tokens;
    double loss, norm, rate, tokens_per_second, seconds_left;
    double losses[SQZ_DISTIL_LOSSES];
} sqz_train_progress;

/* How the run is watched and kept. None of it changes a bit of what is trained, but for which step
 * is kept (evaluate) and where it ends (patience). Zero-initialise.
 *
 *   progress         called after each step; other than 0 stops with SQZ_ECANCELLED, and the run
 *                    can go on with another call
 *   evaluate         called after each epoch (or each evaluate_steps steps) and after the last with
 *                    the model as it then is, to use as any other; *score: more is better, NaN is
 *                    never best. NULL: the last step is what is kept, else the best, the earlier of
 *                    two that are equal
 *   score            what evaluate's score is, and of what: a text that whoever goes on from a
 *                    checkpoint must have too. May be NULL
 *   evaluate_steps   0: after each epoch
 *   patience         stop after so many evaluations, since the best, that were not better; 0: never
 *   checkpoint       folder, made where it is missing; NULL: none. What a run needs to go on is
 *                    written each checkpoint_steps steps and checkpoint_minutes minutes (0: never
 *                    by that), when progress stops the run, and at its end. The last two and the
 *                    best stay. One run at a time: another with this folder gets SQZ_EOUTPUT
 *   resume           1: go on from the newest checkpoint that is whole, begin where there is none
 *   note             called with a line of text that a user should see: a checkpoint that is
 *                    damaged and the one that takes its place; why classes of the base's head are
 *                    not kept. May be NULL
 */
typedef struct sqz_train_run {
    int (*progress)(void *user, const sqz_train_progress *progress);
    sqz_status (*evaluate)(void *user, const sqz_model *model, uint64_t step, double *score,
                           sqz_error *error);
    void (*note)(void *user, const char *text);
    void *user;
    const char *score;
    uint64_t evaluate_steps;
    uint32_t patience;
    const char *checkpoint;
    uint64_t checkpoint_steps;
    double checkpoint_minutes;
    int resume;
    uint64_t reserved[7];
} sqz_train_run;

/* step: done in all; kept_step: whose weights the model has; best_score: NaN without evaluate;
 * scores_dropped: 1: the base's head goes on, but not its temperature and threshold (model.h),
 * which were found with other weights; sqz_build_run with keep_head finds new ones. */
typedef struct sqz_train_result {
    uint64_t step, kept_step;
    double best_score, last_loss;
    int stopped_early; /* by patience */
    int scores_dropped;
    uint64_t reserved[4];
} sqz_train_result;

typedef struct sqz_trainer sqz_trainer;

/* Make a trainer of a base model.
 *
 *   base    a model file of f32, bf16 or f16, which become f32, with fake_quantise of integers too.
 *           Integers that are not trained stay as they are. May be replaced afterwards
 *
 * Reads every example and batch once. Memory: the base opened as a model; of each number 4 bytes,
 * of each that is trained 12 more (gradient, m, v); and what the largest part of a batch needs
 * (sqz_trainer_memory).
 * Tables of embeddings that are int8, packed or product quantised are not trained.
 * SQZ_EUNSUPPORTED: another tensor that would be trained holds integers, without fake_quantise; or
 * the head is of a kind that cannot be trained. SQZ_EINVAL: a number of the recipe is out of range,
 * the text names it; the head does not fit; an example or a batch is empty, out of range or has a
 * label that is no class (error.offset: the example). SQZ_ETOKEN: a piece is not in the vocabulary.
 * SQZ_ETOOLONG: an example has more pieces than the model takes. SQZ_ELIMIT: a batch of more than
 * 2^28 pieces. As sqz_model_open, and what data->batch returns. */
SQZ_API SQZ_NODISCARD sqz_status sqz_trainer_open(sqz_context *context, const char *base,
                                                  const sqz_train_recipe *recipe,
                                                  const sqz_train_data *data, sqz_trainer **trainer,
                                                  sqz_error *error);
SQZ_API void sqz_trainer_close(sqz_trainer *trainer);

/* The model as it is now; sessions and tasks on it see each step. Until the trainer is closed; not
 * while sqz_trainer_run is at work, but in its callbacks. */
SQZ_API const sqz_model *sqz_trainer_model(const sqz_trainer *trainer);

/* Steps of the whole run. */
SQZ_API uint64_t sqz_trainer_steps(const sqz_trainer *trainer);

/* Bytes that the trainer holds and a run will use, but for the file that is mapped: weights, packed
 * too, gradients, moments, and the rows of a batch. An evaluation that keeps the best comes with 4
 * bytes of each trained number more. From the layout code itself. */
SQZ_API size_t sqz_trainer_memory(const sqz_trainer *trainer);

/* Train to the end. SQZ_ENUMERIC: the loss or a gradient is not finite; the step is not taken, the
 * text names the step, the epoch and the batch, and the model is as after the step before.
 * SQZ_ECANCELLED: progress said so. SQZ_EINVAL: without resume, the folder holds a run that is not
 * finished; with it, one of another recipe, base, data or kernels' level, or that is past the step
 * to end at: the text says which. SQZ_EIO: a checkpoint cannot be read; what is damaged gives way
 * to the one before it. What evaluate returns, data->batch returns, and what writing a checkpoint
 * does: SQZ_EOUTPUT, SQZ_ERESOURCE; those that were whole stay. */
SQZ_API SQZ_NODISCARD sqz_status sqz_trainer_run(sqz_trainer *trainer, const sqz_train_run *run,
                                                 sqz_train_result *result, sqz_error *error);

/* Write the model as it is now, f32 but for what is fake-quantised and the integers that stayed:
 * the base's metadata, tokenizer and tensors' order, the head, its labels, a line of sqz.history,
 * reference vectors and checksums. It holds no path, time or number of threads. SQZ_EOUTPUT,
 * SQZ_ERESOURCE (squeezebert/output.h). */
SQZ_API SQZ_NODISCARD sqz_status sqz_trainer_write(const sqz_trainer *trainer, const char *out,
                                                   sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
