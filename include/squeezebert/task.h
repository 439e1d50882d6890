/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: texts in, answers out. Tokenising, cutting long texts, batching without padding and the
 * reading of logits, over a model and a session.
 *
 * Every task function takes n inputs and fills n results in the same order. It sorts the pieces of
 * all inputs by length and runs them in batches of at most options.batch_tokens pieces; an input's
 * answer does not depend on the others. A fault of one input (too long, no [MASK]) stands in its
 * result's outcome and leaves the others alone; a status other than SQZ_OK means that there are no
 * results at all.
 *
 * A result's pointers belong to the task and stay valid until the next call on it. SQZ_ENUMERIC in
 * an outcome: a NaN or infinity met by an int8 layer. SQZ_ETOKEN there: the text has a piece that
 * the model does not embed.
 * Cost: tokenising, and for each window what sqz_encode and the head cost. Memory, kept for the
 * next call: the pieces and results of all inputs, and a session for the largest batch met.
 */
#ifndef SQUEEZEBERT_TASK_H
#define SQUEEZEBERT_TASK_H

#include <squeezebert/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sqz_task sqz_task;

/* A text, or with `pair` a text and a second one. */
typedef struct sqz_input {
    sqz_text text;
    sqz_text second;
    int pair;
    uint64_t reserved[1];
} sqz_input;

/* What happens to a text of more pieces than max_length. */
typedef enum sqz_long_text {
    SQZ_LONG_DEFAULT, /* windows for entities and answers, cut for the rest */
    SQZ_LONG_CUT,     /* the end is dropped; outcome.cut tells how much */
    SQZ_LONG_STRIDE,  /* windows that overlap; each task says how it joins them */
    SQZ_LONG_ERROR    /* SQZ_ETOOLONG in the input's outcome */
} sqz_long_text;

/* Zero-initialise for the defaults.
 *
 *   max_length              pieces of a window, special tokens included; 0 = the model's; at most
 *                           its max_positions
 *   long_text               see above
 *   stride                  pieces that a window repeats from the one before; 0 = a quarter of
 *                           max_length, at most 128
 *   batch_tokens            pieces of one run; 0 = 2048, or, down to 256 a thread, what a session
 *                           of no more memory than the model's file takes; never less than
 *                           max_length
 *   literal_special_tokens  as in sqz_tokenize_options
 */
typedef struct sqz_task_options {
    uint32_t max_length;
    sqz_long_text long_text;
    uint32_t stride;
    uint32_t batch_tokens;
    int literal_special_tokens;
    uint64_t reserved[4];
} sqz_task_options;

/* How it went with one input.
 *
 *   status     SQZ_OK, or why there is no answer: then `text` says it and the rest of the result is
 *              0
 *   n_pieces   pieces that were read, special tokens included, over all windows
 *   n_windows  1, or more for a long text in windows
 *   cut        pieces that were dropped
 */
typedef struct sqz_outcome {
    sqz_status status;
    const char *text;
    uint32_t n_pieces;
    uint32_t n_windows;
    uint32_t cut;
    uint64_t reserved[2];
} sqz_outcome;

/* The model outlives the task. A task is not shared between threads during a call. options NULL =
 * defaults.
 * SQZ_EINVAL: max_length over the model's positions, stride not below max_length. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_task_open(const sqz_model *model,
                                               const sqz_task_options *options, sqz_task **task,
                                               sqz_error *error);
SQZ_API void sqz_task_close(sqz_task *task);

/* ---- classification: SQZ_HEAD_SEQUENCE ----
 *
 *   single label   scores = softmax(logits / info.temperature); one class alone: sigmoid
 *   multi label    scores = sigmoid(logits / info.temperature)
 *   regression     scores = logits
 *
 * label is the class of the largest score, the first on a tie. refused: single and multi label
 * only. Where threshold is 0, logits[label] < info.threshold: as the model was built for, nothing
 * where it says nothing; else score < threshold, and below 0 nothing is refused. label then still
 * names the best class. Windows of a long text: the mean of their logits, each weighted by its
 * pieces.
 * SQZ_EINVAL: another head.
 */
typedef struct sqz_classification {
    sqz_outcome outcome;
    uint32_t label;
    int refused;
    float score;
    const float *scores; /* [K] */
    const float *logits; /* [K] */
    uint64_t reserved[2];
} sqz_classification;
SQZ_API SQZ_NODISCARD sqz_status sqz_classify(sqz_task *task, const sqz_input *inputs, uint32_t n,
                                              float threshold, sqz_classification *results,
                                              sqz_error *error);

/* ---- embeddings: any model ----
 *
 *   embed          pooling, normalising, dimensions: see sqz_embed; skip is not looked at
 *   prompt         put before each text; NULL = the model's default prompt, "" = none. For a search
 *                  see sqz_model_role_prompt
 *   second_prompt  of the second text, in sqz_compare alone; NULL = as prompt
 *   similarity     in sqz_compare alone
 *   options        NULL = as the model file says
 *
 * Where info.include_prompt is 0, pooling leaves the prompt's pieces and those before them out: as
 * many as the prompt alone has, without the special token at its end.
 *
 * Windows of a long text: the mean of their vectors before normalising, each weighted by its
 * pieces. SQZ_POOLING_NONE gives the rows of all windows, one behind the other, special tokens
 * included. SQZ_EINVAL: SQZ_POOLING_POOLER without a pooler, more dimensions than there are.
 */
typedef struct sqz_embed_text_options {
    sqz_embed_options embed;
    const char *prompt, *second_prompt;
    sqz_similarity_kind similarity;
    uint64_t reserved[4];
} sqz_embed_text_options;
typedef struct sqz_embedding {
    sqz_outcome outcome;
    uint32_t n_vectors; /* 1, or the pieces with SQZ_POOLING_NONE */
    uint32_t dimensions;
    const float *vectors; /* [n_vectors, dimensions] */
    uint64_t reserved[2];
} sqz_embedding;
SQZ_API SQZ_NODISCARD sqz_status sqz_embed_texts(sqz_task *task, const sqz_input *inputs,
                                                 uint32_t n, const sqz_embed_text_options *options,
                                                 sqz_embedding *results, sqz_error *error);

/* How alike the embeddings of text and second are (pair is not looked at): score, by
 * options.similarity, and cosine, the score of SQZ_SIMILARITY_COSINE. SQZ_EINVAL: SQZ_POOLING_NONE.
 */
typedef struct sqz_similarity {
    sqz_outcome outcome;
    float score;
    float cosine;
    uint64_t reserved[2];
} sqz_similarity;
SQZ_API SQZ_NODISCARD sqz_status sqz_compare(sqz_task *task, const sqz_input *inputs, uint32_t n,
                                             const sqz_embed_text_options *options,
                                             sqz_similarity *results, sqz_error *error);

/* ---- semantic search: an index of vectors in memory, searched whole ----
 *
 * Scores are those of sqz_similarity_kind; for cosines vectors are divided by their length when
 * they are added. Hits come with falling score, equal ones by rising row. Cost of a search: n ·
 * dimensions multiply-adds. Any number of threads may search; add alone.
 */
typedef struct sqz_index sqz_index;
typedef struct sqz_hit {
    uint64_t row;
    float score;
} sqz_hit;
/* SQZ_SIMILARITY_DEFAULT is cosine: an index knows no model. SQZ_EINVAL: no dimensions, no such
 * similarity. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_index_open(const sqz_context *context, uint32_t dimensions,
                                                sqz_similarity_kind similarity, sqz_index **index,
                                                sqz_error *error);
SQZ_API void sqz_index_close(sqz_index *index);
/* vectors [n, dimensions], copied; all are added or none. SQZ_ENUMERIC: a NaN or infinity
 * (error.offset is its row). SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_index_add(sqz_index *index, const float *vectors, uint64_t n,
                                               sqz_error *error);
SQZ_API uint64_t sqz_index_rows(const sqz_index *index);
/* The best k rows for query [dimensions]; returns how many there are: the smaller of k and the
 * rows, 0 where a number of the query is NaN or infinite. Allocates nothing. */
SQZ_API uint32_t sqz_index_search(const sqz_index *index, const float *query, uint32_t k,
                                  sqz_hit *hits);

/* ---- named entities: SQZ_HEAD_TOKEN ----
 *
 * The strategies and their rules are those of Transformers' TokenClassificationPipeline, its
 * treatment of windows included. With `none` (which the pipeline does not do in windows) a piece of
 * an overlap counts in the window where it stands further from the edge.
 * Label sets that also use S-, E- (IOBES) or U-, L- (BILOU): S and U begin a span of their own, E
 * and L end one.
 * Spans labelled "O" are left out. SQZ_EINVAL: another head.
 */
typedef enum sqz_aggregation {
    SQZ_AGGREGATE_NONE,
    SQZ_AGGREGATE_SIMPLE,
    SQZ_AGGREGATE_FIRST,
    SQZ_AGGREGATE_AVERAGE,
    SQZ_AGGREGATE_MAX
} sqz_aggregation;
typedef struct sqz_entity {
    const char *label; /* with `none` the class ("B-PER"), else without its prefix ("PER") */
    const char *word;  /* the pieces joined to text, as the pipeline shows them */
    float score;
    uint32_t index;    /* of the first piece in its window, [CLS] = 0 */
    /* half open, into the text: in code points, and in bytes */
    uint32_t begin, end, begin_byte, end_byte;
    uint64_t reserved[2];
} sqz_entity;
typedef struct sqz_entities {
    sqz_outcome outcome;
    uint32_t n;
    const sqz_entity *entities;
    const uint32_t *window_first; /* [n_windows]: first row of each window in logits */
    const float *logits;          /* [n_pieces, K], special tokens included */
    uint64_t reserved[2];
} sqz_entities;
SQZ_API SQZ_NODISCARD sqz_status sqz_find_entities(sqz_task *task, const sqz_input *inputs,
                                                   uint32_t n, sqz_aggregation aggregation,
                                                   sqz_entities *results, sqz_error *error);

/* ---- question answering: SQZ_HEAD_QUESTION; text is the question, second the context ----
 *
 *   n_best             answers wanted, 0 = 1; at most 20
 *   max_answer_pieces  longest answer, 0 = 30
 *   no_answer          1: "the context does not say" competes
 *   null_threshold     no_answer wins when its score exceeds the best span's by more than this
 *
 * A span is a pair of context pieces begin <= end of one window, worth start_logit[begin] +
 * end_logit[end]. A span seen in two windows counts once, with its larger worth. No answer is worth
 * start_logit[0] + end_logit[0] of the window where that is smallest. The best 20 spans are kept,
 * and with no_answer the null; score is the softmax of their worths. ref/qa_reference.py is the
 * same rule in Python. options NULL = all 0.
 * SQZ_EINVAL: another head, n_best over 20. SQZ_EUNSUPPORTED: a head of other than 2 outputs.
 */
typedef struct sqz_answer_options {
    uint32_t n_best;
    uint32_t max_answer_pieces;
    int no_answer;
    float null_threshold;
    uint64_t reserved[4];
} sqz_answer_options;
typedef struct sqz_answer {
    int none; /* 1: the context does not say; the places are 0 */
    float score; /* a share of 1, over the spans that were kept */
    float worth; /* start_logit[begin] + end_logit[end] */
    /* half open, into the context: in code points, and in bytes */
    uint32_t begin, end, begin_byte, end_byte;
    uint64_t reserved[2];
} sqz_answer;
typedef struct sqz_answers {
    sqz_outcome outcome;
    uint32_t n; /* 0 only where the context holds no piece and no_answer is 0 */
    const sqz_answer *answers;
    const uint32_t *window_first; /* [n_windows] */
    const float *logits;          /* [n_pieces, 2]: start, end */
    uint64_t reserved[2];
} sqz_answers;
SQZ_API SQZ_NODISCARD sqz_status sqz_answer_questions(sqz_task *task, const sqz_input *inputs,
                                                      uint32_t n, const sqz_answer_options *options,
                                                      sqz_answers *results, sqz_error *error);

/* ---- masked words: SQZ_HEAD_MASKED_LM ----
 *
 *   top_k      candidates a mask, 0 = 5
 *   targets    [n_targets] ids to choose among, or NULL for the whole vocabulary; scores stay those
 *              of the whole softmax
 *
 * As Transformers' FillMaskPipeline. An input without [MASK] (or whose [MASK] was cut off) has an
 * outcome of SQZ_EINVAL. options NULL = all 0. SQZ_EINVAL: another head, SQZ_LONG_STRIDE, targets
 * without one. SQZ_ETOKEN: a target is no piece (error.offset is its index). SQZ_EUNSUPPORTED: the
 * vocabulary has no [MASK].
 */
typedef struct sqz_fill_options {
    uint32_t top_k;
    const uint32_t *targets;
    uint32_t n_targets;
    uint64_t reserved[4];
} sqz_fill_options;
typedef struct sqz_candidate {
    uint32_t id;
    float score;
    /* its spelling as text, "##" taken off as the decoder does for a lone piece */
    const char *piece;
    const char *sequence; /* the whole text with the mask filled */
    uint64_t reserved[1];
} sqz_candidate;
typedef struct sqz_mask {
    uint32_t position;    /* index of the piece */
    uint32_t n;
    const sqz_candidate *candidates;
    const float *logits;  /* [V] */
    uint64_t reserved[2];
} sqz_mask;
typedef struct sqz_filled {
    sqz_outcome outcome;
    uint32_t n;
    const sqz_mask *masks;
    uint64_t reserved[2];
} sqz_filled;
SQZ_API SQZ_NODISCARD sqz_status sqz_fill_masks(sqz_task *task, const sqz_input *inputs, uint32_t n,
                                                const sqz_fill_options *options,
                                                sqz_filled *results, sqz_error *error);

/* ---- zero shot: SQZ_HEAD_SEQUENCE of a natural-language-inference model ----
 *
 *   labels       [n_labels] candidate labels, at least 1
 *   hypothesis   a sentence with one "{}" for the label; NULL = "This example is {}."
 *   multi_label  1, or a single candidate: each label by itself, softmax over contradiction and
 *                entailment; 0: softmax of entailment over the labels
 *
 * As Transformers' ZeroShotClassificationPipeline, but the classes must be named: SQZ_EUNSUPPORTED
 * where no class begins with "entail", or with multi_label none with "contra". Only the text is
 * cut, never the hypothesis. label is the best candidate.
 * SQZ_EINVAL: another head, no labels, a hypothesis without one "{}" or with two, SQZ_LONG_STRIDE.
 */
typedef struct sqz_zero_shot_options {
    const sqz_text *labels;
    uint32_t n_labels;
    const char *hypothesis;
    int multi_label;
    uint64_t reserved[4];
} sqz_zero_shot_options;
typedef struct sqz_zero_shot_result {
    sqz_outcome outcome;
    uint32_t label;
    float score;
    const float *scores; /* [n_labels], in the order of the candidates */
    const float *logits; /* [n_labels, K] */
    uint64_t reserved[2];
} sqz_zero_shot_result;
SQZ_API SQZ_NODISCARD sqz_status sqz_zero_shot(sqz_task *task, const sqz_input *inputs, uint32_t n,
                                               const sqz_zero_shot_options *options,
                                               sqz_zero_shot_result *results, sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
