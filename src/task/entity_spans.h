/* SPDX-License-Identifier: Apache-2.0 */
/* From scores of pieces to spans: the rules of Transformers' TokenClassificationPipeline, without a
 * model. */
#ifndef SQZI_ENTITY_SPANS_H
#define SQZI_ENTITY_SPANS_H

#include <stdbool.h>

#include <squeezebert/task.h>

/* One text piece of a window: no special tokens. */
typedef struct sqzi_scored_piece {
    const char *word;    /* its spelling, or the text itself for [UNK] */
    const float *scores; /* [K], softmax */
    uint32_t index;
    uint32_t begin, end, begin_byte, end_byte;
    /* the pipeline's is_subword: spelling and text differ in length, and it is not [UNK] */
    bool subword;
} sqzi_scored_piece;

/* A piece, a word or a span with its class. Pieces first .. end-1 of the window belong to it. */
typedef struct sqzi_tagged {
    uint32_t label;
    double score;
    uint32_t first, last;
} sqzi_tagged;

/* What a label says: its tag without the prefix, whether it begins a span of its own, whether
 * nothing may follow it in the same span. */
typedef struct sqzi_tag {
    const char *tag;
    bool begins, ends;
} sqzi_tag;

/* Does the label set use more prefixes than B- and I-? */
bool sqzi_labels_mark_ends(const char *const *labels, uint32_t n);
sqzi_tag sqzi_read_tag(const char *label, bool mark_ends);

/* Pieces to tagged pieces (none, simple) or words (first, average, max). tagged [n]; average [K] is
 * working memory. Returns how many. */
uint32_t sqzi_tag_pieces(const sqzi_scored_piece *pieces, uint32_t n, uint32_t classes,
                         sqz_aggregation aggregation, float *average, sqzi_tagged *tagged);

/* The end of the group that begins at tagged[begin]: adjacent ones of one tag. */
uint32_t sqzi_group_end(const sqzi_tagged *tagged, uint32_t n, uint32_t begin,
                        const char *const *labels, bool mark_ends);

/* The pipeline's aggregate_overlapping_entities: sorted by begin, of those that overlap the longest
 * stays, then the best. In place; returns how many. */
uint32_t sqzi_merge_overlaps(sqz_entity *entities, uint32_t n);

/* Pieces or words back to text as the tokenizer's decoder joins them. out holds the words' bytes
 * plus one a word plus a NUL. */
void sqzi_join_words(const char *const *words, uint32_t n, char *out);

#endif
