/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces that leave a model with their rows: those that no text can ever be cut into, and, where a
 * corpus says which texts will come, those that it does not need.
 *
 * Kept of a corpus are the pieces that its texts are cut into; special and added tokens; pieces of
 * one character; and, of words that hold a piece that left, whatever spells them then: a word is
 * spelt by the longest piece first, so with single characters there nothing becomes unknown that
 * was known. Texts of the corpus are cut as before, all others into more pieces at most.
 *
 * Pieces that cannot occur are those that the normaliser never leaves (capitals or accents where it
 * takes them away, a space or a control character, an ideogram beside other characters where those
 * are set apart), punctuation beside other characters, a word beginning longer than a word may be,
 * and unused places such as [unused7]: every text is cut into the same pieces as before, and gets
 * the same results bit for bit.
 */
#ifndef SQZI_VOCABULARY_PRUNING_H
#define SQZI_VOCABULARY_PRUNING_H

#include <squeezebert/task.h>

#include "squeeze/weights.h"

typedef struct sqzi_vocabulary_report {
    uint32_t before, after; /* pieces */
    uint32_t impossible;    /* of those that left, pieces that no text is cut into */
    /* of a corpus: pieces a text, special tokens left out, before and after (texts are whole) */
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

/* Keys of the model that sqzi_vocabulary_put writes anew, ended by NULL; a file's other metadata
 * are carried over without them. */
extern const char *const sqzi_vocabulary_keys[];

/* sqz.vocabulary, the tokenizer's pieces, the numbers of special and added tokens; the writer has
 * copies. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_vocabulary_put(const sqzi_weights *weights, sqzi_gguf_writer *writer,
                                             sqz_error *error);

/* The bias of a tied masked-LM decoder, or a matrix [V, n] of one that has its own, by rows of
 * `bytes_of_row`: those of the rows that are kept, to `out` [word.rows]. */
void sqzi_vocabulary_rows(const sqzi_weights *weights, const void *rows, size_t bytes_of_row,
                          void *out);

/* Reference vectors (rewrite.h) in the new numbers. A piece that left becomes one that is there,
 * and what the source makes of that sequence is found again by a run of it with the portable
 * kernels. */
SQZ_NODISCARD sqz_status sqzi_vocabulary_references(const sqzi_weights *weights,
                                                    sqzi_references *references, sqz_error *error);

#endif
