/* SPDX-License-Identifier: Apache-2.0 */
/* Distillation: a student learns what its teacher makes of texts. In libsqueezebert-full.
 *
 *     sqz_distil_recipe distil = {.teacher = "minilm.gguf"};
 *     distil.weights[SQZ_DISTIL_HIDDEN] = 1;
 *     distil.weights[SQZ_DISTIL_POOLED] = 5;
 *     sqz_train_recipe recipe = {.lr = 5e-4, .dropout = -1, .distil = &distil};
 *     sqz_trainer_open(context, "student.gguf", &recipe, &data, &trainer, &error)
 *
 * and everything else of squeezebert/train.h. The teacher runs each batch as any model runs it, in
 * the type of its file or in teacher_type, without dropout; what a batch costs is that beside the
 * student's step.
 */
#ifndef SQUEEZEBERT_DISTIL_H
#define SQUEEZEBERT_DISTIL_H

#include <squeezebert/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is learned; s are the student's numbers, t the teacher's. Nothing is padded, and no padding
 * enters a mean. Items are sequences, or all tokens where the heads read each.
 *
 *   LABELS        the recipe's own loss of the examples' labels
 *   LOGITS        T^2 KL(softmax(t / T) || softmax(s / T)), mean over items
 *   SOFT          -sum softmax(t / T) log softmax(s / T), mean over items
 *   LOGITS_MSE    (s - t)^2 of logits, mean over all: of a regression, of several labels
 *   HIDDEN        (s - t)^2 of hidden states, mean over all numbers of a layer, summed over the
 *                 student's layers, that of the embedding among them
 *   ATTENTION     (s - t)^2 of attention's scores before the softmax, mean over all numbers of a
 *                 block, and over the student's blocks; equal numbers of heads
 *   QUERIES       of the student's last block and one of the teacher's:
 *   KEYS          KL(softmax(t t' / sqrt(d_t)) || softmax(s s' / sqrt(d_s))), mean over rows and
 *   VALUES        relation heads, which cut queries (keys, values) of all heads anew
 *   POOLED        1 - cos(s, t) of embeddings, mean over sequences
 *   POOLED_MSE    (s - t)^2 of embeddings, mean over all numbers
 *   SIMILARITIES  (cos(s_i, s_j) - cos(t_i, t_j))^2 of embeddings, mean over all pairs of a batch
 *
 * Where the student's hidden states, or embeddings, have another width than the teacher's, s is W s
 * in HIDDEN, or in POOLED and POOLED_MSE: a matrix [the teacher's width, the student's] for all
 * layers, and one for embeddings, normal with deviation 0.02 at first and trained as the model's
 * own are. They count in the gradient's norm, are kept in checkpoints, and are not in the file that
 * is written.
 */
typedef enum sqz_distil_loss {
    SQZ_DISTIL_LABELS,
    SQZ_DISTIL_LOGITS,
    SQZ_DISTIL_SOFT,
    SQZ_DISTIL_LOGITS_MSE,
    SQZ_DISTIL_HIDDEN,
    SQZ_DISTIL_ATTENTION,
    SQZ_DISTIL_QUERIES,
    SQZ_DISTIL_KEYS,
    SQZ_DISTIL_VALUES,
    SQZ_DISTIL_POOLED,
    SQZ_DISTIL_POOLED_MSE,
    SQZ_DISTIL_SIMILARITIES
} sqz_distil_loss;
enum { SQZ_DISTIL_LOSSES = SQZ_DISTIL_SIMILARITIES + 1 };

/* "labels", "logits", "pooled_mse"; NULL for what is none. Static storage. */
SQZ_API const char *sqz_distil_loss_name(sqz_distil_loss loss);

/* Which hidden state of the teacher's 0 .. M state m of the student's 0 .. N learns; 0 is the
 * embedding, which learns the embedding.
 *
 *   UNIFORM   m M / N, halves rounded up: 2, 3, 5, 6 for 4 blocks of 6
 *   LAST      m + M - N
 *   EXPLICIT  layers[m - 1]
 */
typedef enum sqz_distil_map {
    SQZ_DISTIL_UNIFORM,
    SQZ_DISTIL_LAST,
    SQZ_DISTIL_EXPLICIT
} sqz_distil_map;

/* In what the teacher's matrices are multiplied.
 *
 *   AS_IS   as its file says
 *   F32     the file has floats of 32 bits, or of 16 that are expanded exactly
 *   BF16    the file has them so, or floats of another kind that are rounded to it
 *   S8      the file has int8 (or what expands to it), or floats that are quantised to it
 *
 * Rounding is sqz_quantize's, without texts to calibrate on.
 */
typedef enum sqz_teacher_type {
    SQZ_TEACHER_AS_IS,
    SQZ_TEACHER_F32,
    SQZ_TEACHER_BF16,
    SQZ_TEACHER_S8
} sqz_teacher_type;

/* Zero-initialise; the teacher and a weight are needed.
 *
 *   teacher      a model file. With the student's vocabulary, its pieces are read by both. With
 *                another one each reads the text in its own (sqz_train_example.teachers), and what
 *                stands at a piece has no counterpart: LOGITS, SOFT and LOGITS_MSE of sequences,
 *                POOLED, POOLED_MSE and SIMILARITIES can be learned, the rest is refused by name.
 *                Outputs go by the names of classes, where both have them: their order may differ
 *   teacher_type [as it is]; decides bits where the file is another. scratch then names a file that
 *                could be written: the rounded teacher is a temporary file beside it while the
 *                trainer is opened. SQZ_EUNSUPPORTED: the file's weights cannot become that
 *   cache_bytes  [0: none] of logits and embeddings of the teacher's that are kept, where these and
 *                labels are all that is learned, in the first of several epochs; later ones then do
 *                not run it. In memory, and once all of them are there in the file `cache`, which
 *                says by checksums and a key of teacher, type, texts and kernels what it is:
 *                another run finds them there, one that is damaged or of something else is made
 *                anew. Where they would be more bytes, none are kept. sqz_train_run.note is told of
 *                both. No bit of the result depends on it. The name outlives the trainer
 *   weights      of each loss in the sum that is trained; 0: not computed
 *   temperature  [1] T of LOGITS and SOFT, above 0
 *   map          of HIDDEN and ATTENTION; layers [the student's blocks] of EXPLICIT: 1 .. M
 *   relation_heads   [the teacher's heads] divides the width of both models' queries
 *   relation_layer   [the last] block of the teacher, from 1
 */
typedef struct sqz_distil_recipe {
    const char *teacher;
    sqz_teacher_type teacher_type;
    const char *scratch;
    const char *cache;
    uint64_t cache_bytes;
    double weights[SQZ_DISTIL_LOSSES];
    double temperature;
    sqz_distil_map map;
    const uint32_t *layers;
    uint32_t n_layers;
    uint32_t relation_heads, relation_layer;
    uint64_t reserved[8];
} sqz_distil_recipe;

/* 1: piece k is the same text in both vocabularies, for every k; 0: not so, and to learn of each
 * other the two need pieces of their own. */
SQZ_API int sqz_same_vocabulary(const sqz_model *one, const sqz_model *other);

#ifdef __cplusplus
}
#endif

#endif
