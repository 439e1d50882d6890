/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces that leave a model with their rows: those that no text can ever be cut into, and, where a
 * corpus says which texts will come, those that it does not need.
 *
 * Kept of a corpus are the pieces that its texts and the model's prompts are cut into, special and
 * added tokens, and pieces of one character: what left is spelt by shorter pieces. Texts of the
 * corpus are cut as before, others into more pieces. A word becomes unknown that was known only
 * where the vocabulary has no piece of its own for one of its characters, and a longer one that
 * held it left.
 *
 * Pieces that cannot occur are those that no word is spelt with (possible_pieces.h): capitals or
 * accents where the normaliser takes them away, punctuation beside other characters, as in
 * [unused7], an ideogram beside others where those are set apart, words longer than a word may be.
 * Without them every text is cut into the same pieces as before, and gets the same results bit for
 * bit.
 */
#ifndef SQZI_VOCABULARY_PRUNING_H
#define SQZI_VOCABULARY_PRUNING_H

#include <squeezebert/task.h>

#include "squeeze/weights.h"

typedef struct sqzi_vocabulary_report {
    uint32_t before, after; /* pieces */
    uint32_t impossible;    /* of those that left, pieces that no text is cut into */
    /* Of a corpus, pieces a text, special tokens left out: texts 1, 3, ... by the whole vocabulary,
     * and by what texts 0, 2, ... alone would keep. So new texts of the same kind are cut, at
     * worst: those of the corpus itself are cut as before. */
    double tokens_before, tokens_after;
} sqzi_vocabulary_report;

/* Keep what texts need: with n texts the pieces of these, as said above; with n = 0 all that can
 * occur. Rows that are kept stay as they are, in their order, whatever the table is by then;
 * weights->kept_words says which they were. report may be NULL.
 * SQZ_EINVAL: the model has no tokenizer, or texts have no piece. SQZ_ENOMEM: weights are then as
 * they were. */
SQZ_NODISCARD sqz_status sqzi_squeeze_vocabulary(sqzi_weights *weights, const sqz_text *texts,
                                                 size_t n, sqzi_vocabulary_report *report,
                                                 sqz_error *error);

/* ---- writing: where weights->kept_words is not NULL ---- */

/* Metadata of the model that sqzi_vocabulary_put writes anew. */
bool sqzi_vocabulary_describes(sqzi_span key);

/* sqz.vocabulary, the tokenizer's pieces, the numbers of special and added tokens; the writer has
 * copies. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_vocabulary_put(const sqzi_weights *weights, sqzi_gguf_writer *writer,
                                             sqz_error *error);

/* The one tensor of a model that is carried over and has a number for each piece: the bias of a
 * tied decoder. False where kept_words is NULL. */
bool sqzi_vocabulary_has_rows(const sqzi_weights *weights, const sqzi_gguf_tensor *tensor);

/* sqzi_gguf_emit of the rows that are kept; source is one of these. */
typedef struct sqzi_vocabulary_rows {
    const sqzi_weights *weights;
    const sqzi_gguf_tensor *tensor;
} sqzi_vocabulary_rows;
sqz_status sqzi_vocabulary_emit(void *source, sqzi_file_writer *file, sqz_error *error);

/* Reference vectors (rewrite.h) in the new numbers. A piece that left becomes one that is there,
 * and what the source makes of that sequence is found again by a run of it. All as it is where
 * kept_words is NULL. SQZ_ENOMEM, SQZ_EFORMAT. */
SQZ_NODISCARD sqz_status sqzi_vocabulary_references(const sqzi_weights *weights,
                                                    sqzi_references *references, sqz_error *error);

#endif
