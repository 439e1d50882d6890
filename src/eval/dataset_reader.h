/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a data set, and what its readers share: each reads one layout and adds examples,
 * the classes of which are numbered as they come; sqzi_dataset_finish sorts them. */
#ifndef SQZI_DATASET_READER_H
#define SQZI_DATASET_READER_H

#include <squeezebert/dataset.h>
#include <stdbool.h>

#include "base/sha256.h"
#include "data/text_store.h"
#include "data/text_table.h"

/* What a model reads of each example, or text. */
typedef struct sqzi_pieces {
    sqzi_buffer ids, types, labels;
    sqzi_buffer ranges; /* sqzi_piece_range */
} sqzi_pieces;

/* Pieces [begin, begin + n) of an example, and the bytes of its texts that they are of. */
typedef struct sqzi_piece_range {
    size_t begin;
    uint32_t n, cut, skip, bytes[2];
} sqzi_piece_range;

struct sqz_dataset {
    const sqz_context *context;
    const sqz_allocator *allocator;
    const char *name;
    const char *label_name; /* the column of the label */
    const char *task;       /* of GLUE; NULL: none */
    sqz_label_kind kind;
    bool labelled;
    bool closed; /* a label that is no class is refused */
    sqzi_text_store store;
    sqzi_text_table classes; /* each with a NUL behind it */
    sqzi_buffer examples;    /* sqz_example */
    uint64_t n_blank, n_skipped, n_ill_formed;
    char sha256[SQZI_SHA256_HEX];
    sqzi_buffer repeats; /* sqz_repeat */
    sqzi_pieces pieces, teachers;
    uint32_t texts; /* of an example, tokenised by themselves; 0: they were not */
};

static inline sqz_example *sqzi_dataset_all(const sqz_dataset *dataset, size_t *n)
{
    *n = dataset->examples.used / sizeof(sqz_example);
    return (sqz_example *)(void *)dataset->examples.data;
}

SQZ_NODISCARD sqz_status sqzi_dataset_make(const sqz_context *context, const char *name,
                                           sqz_label_kind kind, sqz_dataset **dataset,
                                           sqz_error *error);
/* A copy of the bytes with a NUL behind, until the data set is closed. */
SQZ_NODISCARD sqz_status sqzi_dataset_keep(sqz_dataset *dataset, sqz_text text, sqz_text *kept,
                                           sqz_error *error);
/* Room for n items, as long as that. */
SQZ_NODISCARD sqz_status sqzi_dataset_take(sqz_dataset *dataset, size_t n, size_t item_bytes,
                                           void **taken, sqz_error *error);
/* Without white space (Unicode's) at its ends. */
sqz_text sqzi_label_trimmed(sqz_text label);
/* The number of a class that a label of this line names: the one that is called just so, else, and
 * where it is new, without white space at the ends. */
SQZ_NODISCARD sqz_status sqzi_dataset_class_of(sqz_dataset *dataset, sqz_text label, uint64_t line,
                                               uint32_t *number, sqz_error *error);
/* The number of the class of this name, as it stands. */
SQZ_NODISCARD sqz_status sqzi_dataset_class_named(sqz_dataset *dataset, sqz_text name,
                                                  uint64_t line, uint32_t *number,
                                                  sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_dataset_add(sqz_dataset *dataset, const sqz_example *example,
                                          sqz_error *error);
/* Sort the classes unless they were given, number labels by them, hash. */
SQZ_NODISCARD sqz_status sqzi_dataset_finish(sqz_dataset *dataset, sqz_error *error);
/* Classes behind the others, of which there is no example; names that are there already are passed
 * over. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_dataset_add_classes(sqz_dataset *dataset, const char *const *names,
                                                  uint32_t n, sqz_error *error);

/* Of a tokenised data set of texts some of which begin with one of these prompts [n]: the pieces
 * that pooling leaves out then, where the model does so (dataset_pieces.c). SQZ_ETOOLONG: a prompt
 * alone fills max_length pieces. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_dataset_skip_prompts(sqz_dataset *dataset, const sqz_model *model,
                                                   const char *const *prompts, uint32_t n,
                                                   uint32_t max_length, sqz_error *error);

/* ---- one a layout; format is not AUTO ---- */
SQZ_NODISCARD sqz_status sqzi_dataset_read_table(sqz_dataset *dataset,
                                                 const sqz_rows_source *source,
                                                 const sqz_dataset_options *options,
                                                 sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_dataset_read_conll(sqz_dataset *dataset,
                                                 const sqz_rows_source *source, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_dataset_read_clinc(sqz_dataset *dataset,
                                                 const sqz_rows_source *source, const char *split,
                                                 sqz_error *error);

/* ---- dataset_labels.c: a cell or member to an example's label ---- */

/* The field's text, kept: a JSON string decoded, any other cell or value as it stands. */
SQZ_NODISCARD sqz_status sqzi_dataset_field(sqz_dataset *dataset, const sqz_field *field,
                                            sqz_text *text, sqz_error *error);
/* Put the label in. `column` is what messages call it. */
SQZ_NODISCARD sqz_status sqzi_dataset_label(sqz_dataset *dataset, const sqz_field *field,
                                            const char *column, const char *separator,
                                            sqz_example *example, sqz_error *error);
/* The words of a text that is a JSON array. */
SQZ_NODISCARD sqz_status sqzi_dataset_words(sqz_dataset *dataset, const sqz_field *field,
                                            const char *column, sqz_example *example,
                                            sqz_error *error);
/* Add the field's text, or those of its JSON array, to the example's negatives. */
SQZ_NODISCARD sqz_status sqzi_dataset_negatives(sqz_dataset *dataset, const sqz_field *field,
                                                const char *column, sqz_example *example,
                                                sqz_error *error);
/* Words [n] to a text with a blank between two, and where each ends. */
SQZ_NODISCARD sqz_status sqzi_dataset_join(sqz_dataset *dataset, const sqz_text *words, size_t n,
                                           sqz_example *example, sqz_error *error);

/* Text t of an example: text, text2, negatives. */
sqz_text sqzi_dataset_text(const sqz_example *example, uint32_t t);

uint32_t sqzi_dataset_count_texts(const sqz_dataset *dataset);

/* Numbers [n, texts] of the texts of all examples: equal where they are the same text as repeats
 * have it (dataset_sources.c). SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_dataset_number_texts(const sqz_dataset *dataset, uint32_t *numbers,
                                                   uint32_t *n_distinct, sqz_error *error);
/* Which of texts [n] are a text of an example, as repeats have it; found [n] is set for those, else
 * left as it is (dataset_sources.c). SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_dataset_find_texts(const sqz_dataset *dataset, const sqz_text *texts,
                                                 size_t n, bool *found, sqz_error *error);
/* Which examples `of` [n] have the texts of an example of the data set (dataset_sources.c).
 * SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_dataset_find_rows(const sqz_dataset *dataset, const sqz_dataset *of,
                                                bool *found, sqz_error *error);
/* The source of each example [n], as sqz_dataset_split has them: the number of its first one
 * (dataset_sources.c). SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_dataset_find_sources(const sqz_dataset *dataset, uint32_t *sources,
                                                   sqz_error *error);

#endif
