/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a compression: its data in three parts, the folder that it goes on in, and its
 * attempts, each a plan squeezed and healed. */
#ifndef SQZI_COMPRESSOR_H
#define SQZI_COMPRESSOR_H

#include <squeezebert/batches.h>
#include <squeezebert/compress.h>

#include "base/error.h"
#include "compress/run_folder.h"
#include "model/context.h"
#include "squeeze/fidelity.h"
#include "squeeze/squeeze_then.h"

typedef enum sqzi_compress_part { SQZI_COMPRESS_CHOOSE, SQZI_COMPRESS_REPORT } sqzi_compress_part;
enum { SQZI_COMPRESS_PARTS = 2 };

/* Rows and texts, dealt out.
 *
 *   rest, own[]    data sets that were made here
 *   learn          rows to learn; NULL: none
 *   rows[]         of the parts; NULL: texts alone
 *   texts[]        of the parts, of texts alone
 *   plain          [n_plain] texts to learn, beside rows or alone
 *   apart          the list of those beside rows
 *   calibrate      [n_calibrate] all texts that are learned
 *   sentences      what is learned of those without labels, NULL: nothing; tokenised
 */
typedef struct sqzi_compress_data {
    sqz_dataset *rest, *learn, *own[SQZI_COMPRESS_PARTS], *sentences;
    const sqz_dataset *rows[SQZI_COMPRESS_PARTS];
    const sqz_text *texts[SQZI_COMPRESS_PARTS];
    size_t n[SQZI_COMPRESS_PARTS];
    const sqz_text *plain;
    size_t n_plain;
    sqz_text *apart, *calibrate;
    size_t n_calibrate, calibrate_made;
    sqzi_text_split reported, chosen;
} sqzi_compress_data;

/* What the base makes of a part. */
typedef struct sqzi_compress_base {
    sqz_predictions *answers;
    sqzi_text_vectors vectors;
} sqzi_compress_base;

/* A part of a table, as it was told. */
typedef struct sqzi_compress_row {
    char name[48], from[80], to[80];
    double error;
    uint64_t bytes_before, bytes_after;
} sqzi_compress_row;

enum { SQZI_COMPRESS_HISTORY = 320, SQZI_COMPRESS_KEYS = 6, SQZI_COMPRESS_KEY = 64 };

typedef struct sqzi_compressor {
    sqz_context *context;
    const sqz_allocator *allocator;
    const char *path, *out;
    sqz_compress_options options; /* settled */
    sqz_compress_result *result;
    sqz_model *base;
    sqzi_compress_data data;
    sqzi_compress_base of_base[SQZI_COMPRESS_PARTS];
    /* on the part to choose on, the base's score and what was asked for */
    double base_to_choose, least_to_choose;
    bool searched;       /* for the smallest that holds it */
    bool by_classes;     /* texts alone: the score is the share that keeps its class */
    uint32_t figure;     /* of rows: the number of what counts */
    uint32_t max_length; /* of what is learned */
    sqzi_run_folder folder;
    char history[SQZI_COMPRESS_HISTORY];
    /* numbers that the file has of what was measured */
    sqzi_measured measured;
    char keys[SQZI_COMPRESS_KEYS][SQZI_COMPRESS_KEY], count_key[SQZI_COMPRESS_KEY];
    const char *key_list[SQZI_COMPRESS_KEYS];
    double values[SQZI_COMPRESS_KEYS];
} sqzi_compressor;

/* A plan on its way.
 *
 *   squeezed, healed   files; healed "": it was not
 *   rows [n_rows], layers [n_layers]   of the squeezed one: parts, and the base's blocks that stay
 *   score, error       on the part to choose on, of what is the better of both
 *   steps              of the healed one that is; heals: healed is the better
 *   unmet              it failed: no file of it is within the budget and the time
 */
typedef struct sqzi_compress_attempt {
    sqz_squeeze_options levers;
    char key[SQZI_SHA256_HEX];
    char squeezed[SQZI_OUTPUT_PATH], healed[SQZI_OUTPUT_PATH];
    sqzi_compress_row *rows;
    size_t n_rows, rows_made;
    uint32_t *layers; /* the hidden state of the base that each block learns */
    uint32_t n_layers;
    sqz_squeeze_result told;
    double score, error;
    uint64_t steps, n_steps;
    bool heals, unmet;
} sqzi_compress_attempt;

/* ---- compress_data.c ---- */

SQZ_NODISCARD sqz_status sqzi_compress_open_data(sqzi_compressor *c, sqz_error *error);
void sqzi_compress_close_data(sqzi_compressor *c);

/* The base makes vectors alone. */
static inline bool sqzi_compress_embeds(const sqzi_compressor *c)
{
    return c->base->info.head == SQZ_HEAD_NONE;
}

/* ---- compress_texts.c ---- */

/* Once rows or texts are dealt out: what is learned of texts. Texts beside rows are left out that
 * are a text of a row to choose or report on. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_compress_open_texts(sqzi_compressor *c, sqz_error *error);
void sqzi_compress_close_texts(sqzi_compressor *c);

/* ---- compress_score.c ---- */

/* What counts: result->name, figure, by_classes. SQZ_EINVAL. */
SQZ_NODISCARD sqz_status sqzi_compress_settle_score(sqzi_compressor *c, sqz_error *error);
/* Then what the base makes of both parts. */
SQZ_NODISCARD sqz_status sqzi_compress_open_scores(sqzi_compressor *c, sqz_error *error);
void sqzi_compress_close_scores(sqzi_compressor *c);
/* A model on a part. comparison NULL, or of rows: less the base. */
SQZ_NODISCARD sqz_status sqzi_compress_judge(const sqzi_compressor *c, const sqz_model *model,
                                             sqzi_compress_part part, sqz_compress_score *score,
                                             sqz_comparison *comparison, sqz_error *error);
/* The standard error of a score, from its comparison where there is one. */
double sqzi_compress_error(const sqzi_compressor *c, const sqz_compress_score *score,
                           const sqz_comparison *comparison);

/* ---- compress_folder.c ---- */

/* As sqzi_run_folder_open. */
SQZ_NODISCARD sqz_status sqzi_compress_open_folder(sqzi_compressor *c, sqz_error *error);
/* "FOLDER/NAME-0123456789abcdefENDING" by a key. */
void sqzi_compress_name(const sqzi_compressor *c, const char *name, const char *key,
                        const char *ending, char path[SQZI_OUTPUT_PATH]);
/* It is there, a model file, whole. */
bool sqzi_compress_is_there(const sqzi_compressor *c, const char *path);

/* ---- compress_squeeze.c ---- */

/* As sqzi_squeeze_check_budget, of files that say what is measured. */
SQZ_NODISCARD sqz_status sqzi_compress_check_budget(const sqzi_compressor *c, sqz_error *error);

/* The plan's file, and what it says of itself; a forecast alone where there is no folder. Discard
 * in any case. */
SQZ_NODISCARD sqz_status sqzi_compress_squeeze(sqzi_compressor *c,
                                               const sqz_squeeze_options *levers,
                                               sqzi_compress_attempt *attempt, sqz_error *error);
void sqzi_compress_discard(const sqzi_compressor *c, sqzi_compress_attempt *attempt);
void sqzi_compress_tell(const sqzi_compressor *c, const sqzi_compress_attempt *attempt);

/* ---- compress_heal.c ---- */

/* Its healed file, of so many minutes, and which of both is better. minutes 0: it is not healed. */
SQZ_NODISCARD sqz_status sqzi_compress_heal(sqzi_compressor *c, double minutes,
                                            sqzi_compress_attempt *attempt, sqz_error *error);

/* ---- compress_search.c ---- */

/* Depths are chosen where there are so many minutes: at most so many plans, each healed for a
 * share of them. */
enum { SQZI_COMPRESS_LEAST_MINUTES = 5, SQZI_COMPRESS_DEPTHS = 4, SQZI_COMPRESS_SHARE = 8 };

/* A plan squeezed and healed, and told as a trial. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_compress_try(sqzi_compressor *c, const sqz_squeeze_options *levers,
                                           double minutes, sqzi_compress_attempt *attempt,
                                           sqz_error *error);
/* The least budget above one (0: any) that seems to hold the score, by bisection; 0: none does. */
SQZ_NODISCARD sqz_status sqzi_compress_search(sqzi_compressor *c, uint64_t above, uint64_t *budget,
                                              sqz_error *error);
/* Where a score is asked for and nothing else says how large the file may be: that budget, or the
 * largest where none holds it. Sets c->searched. */
SQZ_NODISCARD sqz_status sqzi_compress_find_budget(sqzi_compressor *c, sqz_error *error);
/* The plan that the options begin with, squeezed alone; a note says where others are tried too.
 * Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_compress_foretell(sqzi_compressor *c, sqzi_compress_attempt *attempt,
                                                sqz_error *error);
/* The plan of the options, of as many blocks as are best where minutes and a budget that was given
 * allow that, healed for all of the minutes. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_compress_choose(sqzi_compressor *c, sqzi_compress_attempt *attempt,
                                              sqz_error *error);

/* ---- compress_write.c ---- */

/* Judge the attempt on the part to report on, and write it, if it holds what was asked for. */
SQZ_NODISCARD sqz_status sqzi_compress_write(sqzi_compressor *c,
                                             const sqzi_compress_attempt *attempt,
                                             sqz_error *error);

/* ---- compress_note.c ---- */

void sqzi_compress_note(const sqzi_compressor *c, const char *format, ...) SQZI_PRINTF(2, 3);

#endif
