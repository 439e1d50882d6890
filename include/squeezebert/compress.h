/* SPDX-License-Identifier: Apache-2.0 */
/* A smaller model that keeps its score: squeezed to a budget, taught by what it was made of, judged
 * on what was held out. In libsqueezebert-full.
 *
 *     sqz_compress_options options = {.levers = {.budget = 4000000}, .dataset = rows,
 *                                     .minutes = 10, .folder = "small.gguf.checkpoint"};
 *     sqz_compress(context, "model.gguf", "small.gguf", &options, &result, &error)
 *
 *     split       rows and texts in three parts, by source: to learn, to choose, to report
 *     squeeze     levers and a budget, calibrated on what is learned (squeeze.h)
 *     heal        each matrix trained through the rounding that it is stored in
 *                 (SQZ_FAKE_QUANTISE_STORED), towards the logits, hidden states and vectors of the
 *                 model that it was made of; each block learns what the block that comes next
 *                 read there. Tables in codes or integers stay as they are
 *     choose      what of several is better on the part to choose on: healed or not
 *     report      the base and the new file on the part that nothing was chosen on; the file is
 *                 written if it holds the score that was asked for
 *
 * The score is, of labelled rows, a figure of measure.h; of texts alone how near the new model is
 * to the base: the share of texts that keep their class where there are classes, else the mean
 * cosine of the vectors (squeeze.h).
 */
#ifndef SQUEEZEBERT_COMPRESS_H
#define SQUEEZEBERT_COMPRESS_H

#include <squeezebert/distil.h>
#include <squeezebert/measure.h>
#include <squeezebert/squeeze.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise; levers, a folder, and rows or texts are needed.
 *
 *   levers      as of sqz_squeeze: budget, time, and what is named by hand; with healing no
 *               vocabulary, which leaves no pieces to learn in common. texts: plain ones, alone
 *               or beside rows; of the latter none is learned that is a text of a row to choose
 *               or report on, compared as repeats are (dataset.h). cache: NULL, or as there;
 *               part, progress, result, user and no_fidelity stay 0: below is what takes their
 *               place
 *   dataset     [none] rows as the model answers them (sqz_predict): classes in the order of its
 *               logits; scores of pairs, or pairs, for a model of embeddings. It reads pairs
 *               (SQZ_LABELS_NONE) behind its prompts of a search (sqz_model_role_prompt) and all
 *               other texts behind its default one, to learn and to be judged. Not changed, but
 *               tokenised anew; outlives the call
 *   report      [a part of dataset] rows of the same kind to report on, and nothing else: those of
 *               dataset with the same texts are left out
 *   holdout     [0.1] share of dataset that is reported on, where report is NULL, and of the rest
 *               that is chosen on, at most 2,000 rows
 *   figure      [accuracy; spearman of scores; mrr of pairs; f1 of words] its name in measure.h,
 *               of one that is better the more
 *   min_score   [0: none] what the new model's score must be at least: with `relative` as a share
 *               of the base's. Without budget and time, and no lever by hand, the smallest file
 *               that holds it is searched for
 *   minutes     [10; below 0: not healed] that healing may take, by the time of its first steps. A
 *               search takes as many once more. From 5 on a budget that leaves the depth open is
 *               also tried with a block fewer or more, each healed for an eighth of them
 *   epochs      [3] at most, of all texts; lr [5e-4], falling to 0; batch [32]; seed
 *   teacher_type   [as its file is] in what the base, which teaches, is computed while it heals
 *               (distil.h); figures are always its file's
 *   max_length  [128, or what the model takes] pieces of a text that is learned
 *   folder      what the run makes on its way is kept here, made where it is missing and removed at
 *               the end, so neither `out` nor a cache is in it (SQZ_EOUTPUT); also removed where a
 *               run that began in it ends with SQZ_EINVAL, SQZ_EFORMAT or SQZ_EUNSUPPORTED, as
 *               it would again, and where the budget of one that was gone on with cannot be met,
 *               or not within the time. A run that began in a folder that was there and is refused
 *               leaves it, without what it made
 *   resume      1: go on in that folder, SQZ_EINVAL where it holds a run of something else, named
 *               in the text, SQZ_EFORMAT where its run.gguf is damaged; 0: SQZ_EINVAL where it
 *               holds a run that is not finished
 *   keep        1: the folder stays at the end, and a call with resume finds all in it; it goes
 *               by sqz_compress_remove
 *   part        as in sqz_squeeze_options, of what was chosen, before it is healed
 *   progress    called with what is being done; other than 0 stops with SQZ_ECANCELLED, and the run
 *               can go on with resume. May be NULL
 *   note        called with a line that a user should see. May be NULL
 */
typedef struct sqz_compress_options {
    sqz_squeeze_options levers;
    sqz_dataset *dataset;
    const sqz_dataset *report;
    double holdout;
    const char *figure;
    double min_score;
    int relative;
    double minutes;
    uint32_t epochs, batch, max_length;
    double lr;
    uint64_t seed;
    const char *folder;
    int resume, keep;
    sqz_teacher_type teacher_type;
    void (*part)(void *user, const sqz_squeezed_part *part);
    int (*progress)(void *user, const char *what, size_t done, size_t total);
    void (*note)(void *user, const char *text);
    void *user;
    uint64_t reserved[8];
} sqz_compress_options;

/* A model on the part that is reported on.
 *
 *   bytes      of its file
 *   score      what counts; its interval of 95 %, NaN where there is none
 *   figures [n_figures]   of rows, as sqz_measures has them
 *   likeness   of texts; of the base all 1
 */
typedef struct sqz_compress_score {
    uint64_t bytes;
    double score, low, high;
    uint32_t n_figures;
    sqz_figure figures[SQZ_MAX_METRICS];
    sqz_likeness likeness;
} sqz_compress_score;

/* What was tried, in order, on the part to choose on.
 *
 *   budget     0: none
 *   layers     blocks of it
 *   steps      that it was healed
 *   score, error   and its standard error: of rows, that of the difference to the base
 *   chosen     1: it went on
 */
typedef struct sqz_compress_trial {
    uint64_t budget, bytes, steps;
    uint32_t layers;
    double score, error;
    int chosen;
} sqz_compress_trial;
enum { SQZ_COMPRESS_TRIALS = 24 };

/*   name             what the score is: "accuracy", "cosine", "classes"; static storage
 *   squeezed         as sqz_squeeze told it, but for fidelity
 *   n_learn, n_choose, n_report   rows, or texts where there are none
 *   n_left_out       texts beside rows that are a text of one that is chosen or reported on
 *   n_rows_left_out  rows of dataset that are rows of report as well
 *   base, before, after   before: squeezed, not healed; the same as after where that was kept
 *   comparison       of rows: after less base, paired
 *   steps, n_steps   of healing that is in the file, 0: none; that were taken
 *   least            the score that was asked for, as it is compared: NaN where none was
 *   met              0: after's score is below that, nothing was written
 *   enough           where it was not met: bytes of the smallest file, larger than the budget, that
 *                    was seen to hold it; 0: none was found, or there was no budget
 */
typedef struct sqz_compress_result {
    const char *name;
    sqz_squeeze_result squeezed;
    size_t n_learn, n_choose, n_report;
    sqz_compress_score base, before, after;
    sqz_comparison comparison;
    uint64_t steps, n_steps;
    double least;
    int met;
    uint64_t enough;
    uint32_t n_trials;
    sqz_compress_trial trials[SQZ_COMPRESS_TRIALS];
    size_t n_left_out, n_rows_left_out;
    uint64_t reserved[6];
} sqz_compress_result;

/* Read a model file, write a smaller one.
 *
 *   path   a model of floats, as sqz_squeeze takes it
 *   out    the file to write; its metadata say what was done and how near it is (doc/format.md).
 *          NULL: a forecast: parts and squeezed alone, nothing is judged. The bytes are those of
 *          the file, healed or not, but where other depths are tried too (minutes), which a
 *          note says: then they are the first plan's
 *
 * Killed, and called again with resume and the same arguments, it goes on: what was squeezed and
 * healed is not made again, training goes on from its last checkpoint (each five minutes), and the
 * file has the bits of a run that was not stopped. Bits depend on the kernels' level, the data and
 * the options, not on threads; where minutes bound the healing, also on the clock, once: a run that
 * goes on keeps the steps that it began with. With a time they depend on the CPU and its threads
 * too, and a run goes on with these alone (SQZ_EINVAL).
 *
 * Memory: that of sqz_squeeze, or of a trainer with its teacher, whichever is more.
 * SQZ_EINVAL: options out of range or that do not go together; `figure` is none, or better the
 * less (ece, mae, mse, loss), or undefined for the model on a part (mcc of one class); the model's
 * head is not of these rows; no row that is not reported on. SQZ_EFORMAT: fewer than 100 different
 * texts (those of the rows that are learned count), 200 without rows, or fewer than 11 in a part.
 * SQZ_EUNSUPPORTED: levers of the vocabulary, and healing. As sqz_squeeze, sqz_dataset_split,
 * sqz_predict, sqz_trainer_open, sqz_trainer_run; SQZ_EOUTPUT, SQZ_ERESOURCE also for the folder.
 * What was at `out` stays on any error, and where the score was not met. */
SQZ_API SQZ_NODISCARD sqz_status sqz_compress(sqz_context *context, const char *path,
                                              const char *out, const sqz_compress_options *options,
                                              sqz_compress_result *result, sqz_error *error);

/* How names begin of what a run of several compressions keeps of each in its own folder. */
#define SQZ_COMPRESS_EACH "small."

/* Remove what runs with `keep` left in a folder, and in folders SQZ_COMPRESS_EACH.. of it, and then
 * the folder; what else is in it stays, and so does it. None of them runs. NULL, or none that is
 * there: nothing. */
SQZ_API void sqz_compress_remove(const char *folder);

#ifdef __cplusplus
}
#endif

#endif
