/* SPDX-License-Identifier: Apache-2.0 */
/* From labelled texts to a classifier, all decisions taken. In libsqueezebert-full.
 *
 *     sqz_dataset_open(context, "tickets.csv", &of_data, &dataset, &error)
 *     sqz_build_run(context, base, dataset, "tickets.gguf", &options, &build, &error)
 *     const sqz_build_result *result = sqz_build_get(build)
 *     sqz_build_close(build)
 *
 *     split        a share of the rows, whole sources, is held out
 *     frozen       every text is read once; six heads, of as many strengths of L2, are fitted to
 *                  the other rows (multinomial logistic regression, C = 0.001 ... 1); the one with
 *                  the least loss on those held out decides C, and one head is fitted to all rows
 *     full         where `minutes` allow for it: five epochs of every weight, as train.h has them,
 *                  on the rows that are not held out
 *     kept         what is right more often on the rows held out; of equals the frozen
 *     temperature  the one of the least loss on the rows held out, one more row counted that could
 *                  be of any class
 *     threshold    of the largest logit: so that it is missed by false_refusals of them, near
 *                  copies of rows trained on left out
 *     figures      the rows held out are five folds, whole sources: C, frozen or full, temperature
 *                  and threshold are decided for each on the other four, so that no answer comes
 *                  from what was decided on it. What the file holds is decided on all of them
 *
 * With `keep_head` the base is a classifier and stays it, bit for bit, as a student that has been
 * squeezed and distilled: of the above there are the split, temperature, threshold and figures, and
 * `frozen`, `full` and `kept` are left out. A temperature and a threshold that the base has change
 * none of that; they are replaced. Figures are true only if the rows held out are ones that it was
 * not trained on, which only who trained it can know: `holdout` and `seed` are then those of its
 * training, which part the same data alike.
 *
 * With `compress` the classifier is squeezed to bytes, a time or a score (compress.h):
 *
 *     teacher      as above, from the rows that are not held out, but f32: those rows are split
 *                  again for its own decisions. A base of integers is first written as the floats
 *                  that they mean
 *     squeezed     and healed on the same rows, by the teacher
 *     kept         its head, as with `keep_head`: temperature, threshold and figures are found on
 *                  the rows held out, of which nothing was learned or chosen until then
 *
 * The file has at most the budget's bytes with all that it says of itself. Of the minutes a third
 * is the teacher's, half is for healing; the rest is left for squeezing, which takes what it takes:
 * a minute and a half for MiniLM. A search for a size, of a min_score alone or after one that was
 * missed, may take healing's half once more.
 *
 * The head of the frozen encoder reads (doc/format.md) head.dense, which takes the mean of each
 * feature off and divides by its deviation; head.norm; head.output. Figures are those of heads
 * that were fitted without the rows held out. Bits depend on the kernels' level, the data and the
 * options, not on threads; where `minutes` are given, also on what the clock allowed.
 */
#ifndef SQUEEZEBERT_BUILD_H
#define SQUEEZEBERT_BUILD_H

#include <squeezebert/batches.h>
#include <squeezebert/compress.h>
#include <squeezebert/measure.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise, or pass NULL, for the defaults in brackets.
 *
 *   keep_head       [0] 1: nothing is fitted, the base's own head answers
 *   compress        [none] what the classifier is squeezed to: levers, min_score and relative,
 *                   figure, resume, and of healing epochs [20], batch, lr, max_length and
 *                   teacher_type. The rest of it stays 0: what is here takes its place. Needs
 *                   checkpoint
 *   minutes         [0: frozen alone; with compress 10] what the training may take, by a first
 *                   estimate; with compress what all may take, about. Below 0, with compress alone:
 *                   frozen and not healed
 *   false_refusals  [0.05; below 0: nothing is refused] < 1, of the rows held out
 *   holdout         [0.1; of fewer than 600 examples 60 of them, but at most 0.3] > 0 and < 1
 *   seed            of the split, and of full training
 *   cache           [none] a file: what the encoder made of the texts, found again for the same
 *                   model; rows that are added are read and put in. One that is damaged or of
 *                   another model is made anew, a note says so; another file is left alone
 *   card            [none] a file: what was found, for people, in Markdown
 *   checkpoint      [none] folder for full training, which goes on from there (train.h). With
 *                   compress one for all that is made on the way, removed at the end; a run that
 *                   was stopped goes on with compress->resume and the same arguments. Where
 *                   levers were refused, such as a budget that cannot be met, or min_score was
 *                   not held, the teacher stays there, and resume takes it up with others. A
 *                   budget below the base's tables and one block at their smallest is refused
 *                   (SQZ_EINVAL) before anything is trained
 *   progress        called with what is being done; a return other than 0 stops with
 *                   SQZ_ECANCELLED. May be NULL
 *   note            called with a line that a user should see. May be NULL
 */
typedef struct sqz_build_options {
    double minutes, false_refusals, holdout;
    uint64_t seed;
    const char *cache, *card, *checkpoint;
    int keep_head;
    const sqz_compress_options *compress;
    int (*progress)(void *user, const char *what, size_t done, size_t total);
    void (*note)(void *user, const char *text);
    void *user;
    uint64_t reserved[3];
} sqz_build_options;

/* A head that was tried: C, and on the rows held out the mean loss at its best temperature and the
 * accuracy. */
typedef struct sqz_build_strength {
    double c, loss, accuracy;
} sqz_build_strength;
enum { SQZ_BUILD_STRENGTHS = 6 };

/* Two examples, one held out, one trained on, whose rows have a cosine of 0.95 or more as a fitted
 * head reads them, behind head.norm. They are not of one source. */
typedef struct sqz_near_copy {
    uint32_t held_out, trained; /* numbers of examples */
    float cosine;
} sqz_near_copy;

/* Examples of class `truth` that were taken for `label`: how many, and the numbers of the first. */
typedef struct sqz_build_confusion {
    uint32_t truth, label, count, n_rows;
    uint32_t rows[3];
} sqz_build_confusion;

/* What was found. Pointers are the build's.
 *
 *   of the data
 *     n, n_classes, counts [n_classes]   classes of held_out: the data's, and with keep_head
 *                        behind them those of the base alone, in its order
 *     n_few, n_absent    classes of 1 to 4 examples; of none
 *     n_repeats, n_contradictions   sqz_dataset_repeats
 *     median_pieces, most_pieces    special tokens included, as far as the model reads
 *     n_cut              texts that are longer than that
 *     n_train, n_held_out
 *     near_copies [n_near_copies]   of each example held out the nearest, by falling cosine
 *     n_compared         examples held out that were looked at for that: all, unless that is more
 *                        than 4e9 pairs; then every k-th
 *   of the decision
 *     full               1: every weight was trained
 *     kept               1: none, the head neither. Then there are no strengths and accuracies
 *     why                a sentence
 *     n_read             texts that the encoder was run on; the others were in the cache, or are
 *                        repeats
 *                        With compress all of this is the teacher's, and the rows are those that
 *                        it held out itself
 *     strengths, chosen  of the frozen encoder; frozen_accuracy, full_accuracy: what the file's own
 *                        choice was made by, on all rows held out (measures are of folds);
 *                        full_accuracy NaN: there was no such training
 *     frozen_seconds, step_seconds, full_minutes   measured; estimated; 0 where not
 *   of the model
 *     temperature, threshold    -infinity: nothing is refused
 *     n_folds            of the rows held out: 5, or as many as there are sources. 1: all was
 *                        decided on the rows that figures are of
 *     measures, predictions     on held_out, a data set of the rows held out, each at its fold's
 *                        temperature and threshold
 *     confusions [n_confusions] by falling count, at most 10
 *   of what was squeezed
 *     compressed         NULL without compress. base: the teacher; after, on held_out: the file.
 *                        met 0: it does not hold the score that was asked for, nothing was written,
 *                        and there is nothing of the model
 *     teacher_seconds, compress_seconds   measured: all until the teacher stood, and from then on
 */
typedef struct sqz_build_result {
    size_t n;
    uint32_t n_classes, n_few, n_absent;
    const uint64_t *counts;
    size_t n_repeats, n_contradictions;
    uint32_t median_pieces, most_pieces;
    size_t n_cut, n_train, n_held_out;
    const sqz_near_copy *near_copies;
    size_t n_near_copies, n_compared;

    int full, kept;
    const char *why;
    uint32_t n_read;
    sqz_build_strength strengths[SQZ_BUILD_STRENGTHS];
    uint32_t chosen;
    double frozen_accuracy, full_accuracy;
    double frozen_seconds, step_seconds, full_minutes;

    double temperature, threshold, false_refusals;
    sqz_measures measures;
    const sqz_predictions *predictions;
    const sqz_dataset *held_out;
    const sqz_build_confusion *confusions;
    uint32_t n_confusions, n_folds;
    const sqz_compress_result *compressed;
    double teacher_seconds, compress_seconds;
    uint64_t reserved[5];
} sqz_build_result;

typedef struct sqz_build sqz_build;

/* Build a classifier.
 *
 *   base     a model file; of floats, it is quantised to int8 for the frozen encoder, beside `out`
 *            under a temporary name. With keep_head one with a head of one class a text; its
 *            classes go by their names, or, where nobody named them, by number ("0", "1"), in any
 *            order, and it may have some that the data has not
 *   dataset  SQZ_LABELS_ONE, labelled; outlives the build. Its pieces (sqz_dataset_tokenize) are
 *            made anew
 *   out      the model file: the base, int8 but for the head, which is f32; of full training all
 *            f32; with keep_head the base, whatever it holds; with compress as sqz_squeeze makes it
 *
 * Cost: the encoder over every text; some hundred products of all features [n, C] with the head's
 * weights [K, C]; of the rows held out with those trained on, at most 4e9 pairs. Memory: 12 bytes a
 * feature, 11 a row and class, 600 a weight of the head, and what the encoder takes: 190 MB in all
 * for 15,000 short texts, 150 classes and a model of 23 MB and width 384.
 *
 * SQZ_EINVAL: no labels of this kind; an option out of range; keep_head with minutes or checkpoint,
 * with a base of another head, or without a class that the data has (the text names it); compress
 * with keep_head, or as sqz_compress. SQZ_EFORMAT: fewer than two classes (error.text says what
 * there is); texts that are all the same, as sqz_dataset_split; too few, as sqz_compress.
 * SQZ_ECANCELLED.
 * SQZ_ENUMERIC: a state of the encoder, or the head's loss, is not finite. As sqz_model_open,
 * sqz_quantize, sqz_dataset_tokenize, sqz_trainer_open; SQZ_EOUTPUT, SQZ_ERESOURCE
 * (squeezebert/output.h), SQZ_EOUTPUT too where `cache` holds something else than features. What
 * was at `out` and `card` stays on any error. */
SQZ_API SQZ_NODISCARD sqz_status sqz_build_run(sqz_context *context, const char *base,
                                               sqz_dataset *dataset, const char *out,
                                               const sqz_build_options *options, sqz_build **build,
                                               sqz_error *error);
SQZ_API const sqz_build_result *sqz_build_get(const sqz_build *build);
/* Before the data set and the context. */
SQZ_API void sqz_build_close(sqz_build *build);

#ifdef __cplusplus
}
#endif

#endif
