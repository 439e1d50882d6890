/* SPDX-License-Identifier: Apache-2.0 */
/* Labelled examples: read from a file and checked, parted by source, tokenised. In
 * libsqueezebert-full.
 *
 *     sqz_dataset_open(context, "tickets.csv", &options, &dataset, &error);
 *     sqz_dataset_split(dataset, 0.1, seed, rows, &n_train, &error);      rows [n]: train, held out
 *     sqz_dataset_tokenize(dataset, tokenizer, 128, &error);
 *
 * Everything is decided by the bytes read, the options and the seed: no clock, no threads, no
 * generator that runs along.
 */
#ifndef SQUEEZEBERT_DATASET_H
#define SQUEEZEBERT_DATASET_H

#include <squeezebert/eval.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a label is.
 *
 *   ONE     one class
 *   MANY    any number of classes, none among them
 *   VALUE   a finite number
 *   WORDS   a class of each word of the text
 *   NONE    there is none: the texts of an example belong together
 */
typedef enum sqz_label_kind {
    SQZ_LABELS_ONE,
    SQZ_LABELS_MANY,
    SQZ_LABELS_VALUE,
    SQZ_LABELS_WORDS,
    SQZ_LABELS_NONE
} sqz_label_kind;

/* How a file is laid out.
 *
 *   AUTO   by the end of its name: .csv, .tsv, .jsonl and .ndjson, .conll and .bio, .json (CLINC)
 *   CSV, TSV, JSONL   as data.h reads them. An example's label is a cell or member: of MANY a JSON
 *          array of strings or numbers, or words with `separator` between them; of WORDS a JSON
 *          array beside an array `text` of as many words. White space (Unicode's) at the ends of
 *          the name of a class is no part of it: "up" and " up " are one
 *   CONLL  a word a line, in columns parted by blanks or TABs, the first the word and the last its
 *          class; a blank line, or one that begins with -DOCSTART-, ends an example. WORDS alone
 *   CLINC  one JSON object whose members ("train", "oos_val") are arrays of [text, class]; `split`
 *          names the members to read, with "+" between two of them. ONE alone
 */
typedef enum sqz_data_format {
    SQZ_DATA_AUTO,
    SQZ_DATA_CSV,
    SQZ_DATA_TSV,
    SQZ_DATA_JSONL,
    SQZ_DATA_CONLL,
    SQZ_DATA_CLINC
} sqz_data_format;
/* What AUTO makes of a path; AUTO where its end says nothing. */
SQZ_API sqz_data_format sqz_data_format_of(const char *path);

enum { SQZ_MOST_NEGATIVES = 62 }; /* of an example */

/* Zero-initialise for one class a row, in the columns "text" and "label".
 *
 *   text, text2  columns; text2 NULL: one text an example
 *   negatives    [n_negatives] columns of texts that do not belong to `text`, which text2 does; in
 *                jsonl a member may be an array of them, as long in every row. NONE alone
 *   label        the column; NULL = "label"
 *   source       a column whose equal cells mean one source (sqz_dataset_split); NULL: none
 *   id           a column that predictions carry along; NULL: none
 *   separator    of several classes in one cell; NULL = "|"
 *   split        CLINC; NULL = "train"
 *   classes      [n_classes] the classes in order, a label beside them an error: names as they
 *                stand, and a label is the class that is called just so before the one that it is
 *                without white space at its ends. NULL: those that occur, sorted: by value where
 *                all are numbers, else by bytes
 *   unlabelled   1: there are no labels, the label column is not looked at
 *
 * Strings need not outlive the call. Options of another format or kind are refused.
 */
typedef struct sqz_dataset_options {
    sqz_data_format format;
    sqz_label_kind kind;
    sqz_quotes quotes;
    const char *text, *text2, *label, *source, *id;
    const char *separator;
    const char *split;
    const char *const *classes;
    uint32_t n_classes;
    const char *const *negatives;
    uint32_t n_negatives;
    int unlabelled;
    uint64_t reserved[4];
} sqz_dataset_options;

/* One example.
 *
 *   input     its texts; of WORDS the words with a blank between two
 *   label     ONE: the class
 *   value     VALUE
 *   labels    MANY: the classes, rising; WORDS: the class of each word
 *   word_end  WORDS: the byte behind each word in input.text; NULL elsewhere
 *   n_labels  of both arrays
 *   negatives [n_negatives] texts that do not belong to input.text
 *   line      of the file, from 1; of CLINC the number of the example in its member
 *   id        bytes NULL where there is none
 */
typedef struct sqz_example {
    sqz_input input;
    uint32_t label;
    uint32_t n_labels;
    double value;
    const uint32_t *labels;
    const uint32_t *word_end;
    const sqz_text *negatives;
    uint32_t n_negatives;
    uint64_t line;
    sqz_text id;
    sqz_text source;
    uint64_t reserved[2];
} sqz_example;

typedef struct sqz_dataset sqz_dataset;

/* Read a file to its end. Memory: its texts and about 150 bytes an example.
 *
 * SQZ_EIO: it cannot be read. SQZ_EFORMAT: a column is not there, a row cannot be read or has no
 * label, no text or one that is none of the classes (error.offset and the text say the line), or
 * there is no example. SQZ_EINVAL: options that do not fit. SQZ_ELIMIT: over SQZ_MAX_CLASSES
 * classes, or 2^31 - 1 examples. SQZ_ENOMEM. */
enum { SQZ_MAX_CLASSES = 1 << 16 };
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_open(const sqz_context *context, const char *path,
                                                  const sqz_dataset_options *options,
                                                  sqz_dataset **dataset, sqz_error *error);
/* The same of a stream of bytes; format AUTO is refused. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_open_source(const sqz_context *context,
                                                         const sqz_rows_source *source,
                                                         const sqz_dataset_options *options,
                                                         sqz_dataset **dataset, sqz_error *error);
/* The labelled rows of a GLUE file, as sqz_glue_open finds and reads them: VALUE for STS-B, ONE
 * with the task's classes elsewhere. SQZ_EINVAL: the file has no labels. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_open_glue(const sqz_context *context,
                                                       sqz_glue_task task, const char *folder,
                                                       const char *split,
                                                       const sqz_glue_options *options,
                                                       sqz_dataset **dataset, sqz_error *error);
/* Classes of such rows become those of a model that does the task (sqz_glue_fits), whatever it
 * calls them and in its order: class k is what its output k says. The hash stays that of what was
 * read; rows of a score, and parts that were made before, stay as they are.
 * SQZ_EINVAL: rows of no task; the model cannot do it, or does not say which output is which class:
 * the text says what it needs. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_fit_glue(sqz_dataset *dataset, const sqz_model *model,
                                                      sqz_error *error);
/* Plain texts as examples without labels, whole or cut into sentences (squeezebert/squeeze.h says
 * where); each is an example once, however often it stands there.
 *
 *   name    what messages call them
 *   texts   [n], copied
 *   whole   1: as they are
 *   most    0, or examples at most: which of them is decided by the seed. Their order is then by
 *           chance as well
 *
 * SQZ_EFORMAT: there is no text. SQZ_ELIMIT: 2^31 - 1 examples. SQZ_ENOMEM. */
typedef struct sqz_texts_options {
    int whole;
    uint32_t most;
    uint64_t seed;
    uint64_t reserved[4];
} sqz_texts_options;
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_open_texts(const sqz_context *context,
                                                        const char *name, const sqz_text *texts,
                                                        size_t n, const sqz_texts_options *options,
                                                        sqz_dataset **dataset, sqz_error *error);
SQZ_API void sqz_dataset_close(sqz_dataset *dataset);

/* Scores of a range to 0..1: VALUE becomes (value - low) / (high - low). For losses of embeddings,
 * whose cosines are to be the scores; the hash stays that of what was read. SQZ_EINVAL: another
 * kind of label, or not low < high. SQZ_EFORMAT: a score is outside (error.offset and the text say
 * the line); nothing has been scaled. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_scale(sqz_dataset *dataset, double low, double high,
                                                   sqz_error *error);

/* The examples [n], until the data set is closed. */
SQZ_API const sqz_example *sqz_dataset_examples(const sqz_dataset *dataset, size_t *n);
SQZ_API sqz_label_kind sqz_dataset_kind(const sqz_dataset *dataset);
/* 0 where options.unlabelled was set. */
SQZ_API int sqz_dataset_labelled(const sqz_dataset *dataset);
/* Classes; 0 for VALUE. */
SQZ_API uint32_t sqz_dataset_n_classes(const sqz_dataset *dataset);
/* Name of class k; NULL out of range. */
SQZ_API const char *sqz_dataset_class(const sqz_dataset *dataset, uint32_t k);
/* The file, or the source's name. */
SQZ_API const char *sqz_dataset_name(const sqz_dataset *dataset);
/* Blank lines skipped; rows left out (sqz_glue_skipped); rows that are not UTF-8. */
SQZ_API uint64_t sqz_dataset_blank(const sqz_dataset *dataset);
SQZ_API uint64_t sqz_dataset_skipped(const sqz_dataset *dataset);
SQZ_API uint64_t sqz_dataset_ill_formed(const sqz_dataset *dataset);
/* SHA-256, in hexadecimal, of what was read: classes, texts, words and labels in their order. Not
 * of the columns that nobody reads, nor of quotes and line ends. */
SQZ_API const char *sqz_dataset_sha256(const sqz_dataset *dataset);

/* ---- the same text twice ----
 *
 * Texts are compared in lower case, white space as one blank, without blanks and . , ; : ! ? at
 * their ends.
 */

/* An example whose texts are those of an earlier one.
 *
 *   row, first  numbers of examples; first is the earliest with these texts
 *   contradicts 1: its label is another one
 */
typedef struct sqz_repeat {
    uint32_t row, first;
    int contradicts;
} sqz_repeat;
/* All of them [n] by rising row, kept with the data set. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_repeats(sqz_dataset *dataset,
                                                     const sqz_repeat **repeats, size_t *n,
                                                     sqz_error *error);

/* Part the examples in those to train on and those held out, by source: examples that share a text
 * (either of a pair, not a negative) or the cell of options.source stay together, as do those
 * linked by others.
 *
 *   share  held out, > 0 and < 1; as near to it as whole sources come
 *   rows   [n] numbers of all examples: first, rising, the *n_train to train on, then, rising,
 *          those held out
 *
 * Classes are held out in their shares as far as sources allow, and every class that occurs keeps
 * an example to train on. SQZ_EINVAL: share. SQZ_EFORMAT: nothing can be held out, as all examples
 * are one source or the only ones of their class. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_split(sqz_dataset *dataset, double share,
                                                   uint64_t seed, uint32_t *rows, size_t *n_train,
                                                   sqz_error *error);

/* Examples rows [n_rows] of a data set as one of their own, with all its classes. It is closed
 * before the other one. SQZ_EINVAL: a row that is none, no rows. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_part(const sqz_dataset *dataset, const uint32_t *rows,
                                                  size_t n_rows, sqz_dataset **part,
                                                  sqz_error *error);

/* ---- pieces ---- */

/* What a model reads of an example, or of one of its texts.
 *
 *   ids, types   [n]
 *   skip         pieces at the beginning that pooling leaves out: a prompt's, as the model says
 *   labels       [n], WORDS alone: the class at the first piece of each word, -1 at the others;
 *                NULL elsewhere
 *   cut          pieces that did not fit in
 */
typedef struct sqz_example_pieces {
    const uint32_t *ids;
    const uint8_t *types;
    const int32_t *labels;
    uint32_t n, cut, skip;
} sqz_example_pieces;

/* Tokenise all examples, special tokens added, at most max_length pieces each (0 = no limit), of a
 * pair the longer text cut first. Once for each data set: what was made before is dropped.
 * Memory: 5 bytes a piece, 9 with labels of words.
 * SQZ_EINVAL: max_length is below the special tokens. SQZ_ETOKEN, SQZ_ELIMIT: as sqz_tokenize, the
 * text says the line. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_tokenize(sqz_dataset *dataset,
                                                      const sqz_tokenizer *tokenizer,
                                                      uint32_t max_length, sqz_error *error);
/* The same with the tokenizer of a model file, of which nothing else is read: to be trained, it is
 * opened by the trainer.
 *
 *   max_length  0: 128, or what the model takes where that is less; what was used is written back
 *
 * As sqz_dataset_tokenize, and SQZ_EIO, SQZ_EFORMAT, SQZ_EUNSUPPORTED as sqz_model_open; SQZ_EINVAL
 * also where the model takes fewer pieces than max_length. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_tokenize_for(sqz_dataset *dataset, const char *model,
                                                          uint32_t *max_length, sqz_error *error);
/* Tokenise each text of an example by itself, as sqz_embed_texts reads it: text, text2 and the
 * negatives, as many of every example.
 *
 *   prompt, second_prompt   put before `text`, and before the others; NULL: none
 *
 * Otherwise as sqz_dataset_tokenize. SQZ_EINVAL also: of WORDS. SQZ_ETOOLONG: a prompt alone fills
 * the max_length pieces. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_tokenize_texts(sqz_dataset *dataset,
                                                            const sqz_model *model,
                                                            const char *prompt,
                                                            const char *second_prompt,
                                                            uint32_t max_length, sqz_error *error);
/* Tokenise all examples once more, for a teacher whose vocabulary is another (distil.h): what the
 * pieces that are there are of, so that both models read the same text, at most max_length pieces.
 * SQZ_EINVAL: nothing is tokenised, or texts by themselves; of WORDS. Otherwise as
 * sqz_dataset_tokenize, which drops them. */
SQZ_API SQZ_NODISCARD sqz_status sqz_dataset_tokenize_teacher(sqz_dataset *dataset,
                                                              const sqz_tokenizer *tokenizer,
                                                              uint32_t max_length,
                                                              sqz_error *error);
/* Texts of an example that were tokenised by themselves; 0: they were not. */
SQZ_API uint32_t sqz_dataset_texts(const sqz_dataset *dataset);
/* Of example i, or, of texts by themselves, of text i % texts of example i / texts; until the next
 * sqz_dataset_tokenize or _texts; all 0 where there was none. */
SQZ_API sqz_example_pieces sqz_dataset_pieces(const sqz_dataset *dataset, size_t i);
/* What a teacher reads of example i; all 0 where that is the same pieces. */
SQZ_API sqz_example_pieces sqz_dataset_teacher_pieces(const sqz_dataset *dataset, size_t i);

#ifdef __cplusplus
}
#endif

#endif
