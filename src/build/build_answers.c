/* SPDX-License-Identifier: Apache-2.0 */
/* What is decided on the rows held out, and the figures of answers to them: those of each fold come
 * from what the other folds alone would have decided. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "build/builder.h"
#include "build/calibrate.h"
#include "eval/predictions.h"

enum { FOLDS = 5 };

/* Rows held out are numbered from 0; n of them are looked at. */
typedef struct work {
    sqz_build *build;
    size_t n_held;
    uint32_t *rows, *apart; /* [n_held] those looked at; of these, those without a near copy */
    float *largest;         /* [n_held] */
    float *logits;          /* [n_held, K] over the temperature of each row's fold */
    unsigned char *refused; /* [n_held] */
    void *block;
    size_t bytes;
} work;

static void lay_out(work *w, sqzi_arena *arena)
{
    w->rows = sqzi_arena_take(arena, w->n_held, sizeof *w->rows);
    w->apart = sqzi_arena_take(arena, w->n_held, sizeof *w->apart);
    w->largest = sqzi_arena_take(arena, w->n_held, sizeof *w->largest);
    w->logits = sqzi_arena_take(arena, w->n_held, w->build->result.n_classes * sizeof *w->logits);
    w->refused = sqzi_arena_take(arena, w->n_held, 1);
}

/* ---- deciding ---- */

static const float *logits_of(const sqz_build *b, const sqzi_choice *c)
{
    const size_t cells = b->result.n_held_out * b->result.n_classes;
    return c->whole ? b->logits : b->frozen.logits + c->strength * cells;
}

static sqzi_scored scored_of(const work *w, const float *logits, size_t n)
{
    const sqz_build *b = w->build;
    return (sqzi_scored){logits, b->frozen.labels + b->result.n_train, w->rows, n,
                         b->result.n_classes};
}

/* The strength of the least loss; all of them in `tried`. */
static void choose_strength(const work *w, size_t n, sqzi_choice *c,
                            sqz_build_strength tried[SQZ_BUILD_STRENGTHS])
{
    for (uint32_t i = 0; i < SQZ_BUILD_STRENGTHS; i++) {
        const sqzi_choice that = {.strength = i};
        const sqzi_scored s = scored_of(w, logits_of(w->build, &that), n);
        tried[i] = (sqz_build_strength){sqzi_strengths[i], sqzi_nll(&s, sqzi_find_temperature(&s)),
                                        sqzi_accuracy(&s)};
        if (tried[i].loss < tried[c->strength].loss) c->strength = i;
    }
    c->frozen_accuracy = tried[c->strength].accuracy;
}

/* Near copies of rows that were trained on are surer than new texts are: they set no threshold,
 * unless there is nothing else. */
static double find_threshold(const work *w, const sqzi_scored *of)
{
    sqzi_scored s = *of;
    size_t n = 0;
    for (size_t i = 0; i < of->n; i++)
        if (!w->build->is_copy[of->rows[i]]) w->apart[n++] = of->rows[i];
    if (n) {
        s.rows = w->apart;
        s.n = n;
    }
    return sqzi_find_threshold(&s, w->build->result.false_refusals, w->largest);
}

/* Everything, of the rows but those of a fold; FOLDS: of all. */
static sqzi_choice decide(const work *w, uint32_t left_out,
                          sqz_build_strength tried[SQZ_BUILD_STRENGTHS])
{
    const sqz_build *b = w->build;
    sqzi_choice c = {.frozen_accuracy = (double)NAN, .full_accuracy = (double)NAN};
    size_t n = 0;
    for (uint32_t i = 0; i < w->n_held; i++)
        if (b->fold[i] != left_out) w->rows[n++] = i;
    if (b->options.keep_head) c.whole = true;
    else choose_strength(w, n, &c, tried);
    if (b->logits && !c.whole) {
        const sqzi_scored full = scored_of(w, b->logits, n);
        c.full_accuracy = sqzi_accuracy(&full);
        c.whole = c.full_accuracy > c.frozen_accuracy;
    }
    const sqzi_scored s = scored_of(w, logits_of(b, &c), n);
    c.temperature = sqzi_find_temperature(&s);
    c.threshold = find_threshold(w, &s);
    return c;
}

/* ---- folds ---- */

/* Sources in turn, as they come: files that are sorted by class give folds with all classes. */
static sqz_status find_folds(sqz_build *b, sqz_error *error)
{
    const size_t n = b->result.n_held_out;
    uint32_t *sources = sqzi_allocate(b->allocator, 2 * n * sizeof *sources);
    if (!sources) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to part %zu rows", n);
    uint32_t *fold_of = sources + n, n_sources = 0;
    const sqz_status status = sqzi_dataset_find_sources(b->held_out, sources, error);
    for (uint32_t i = 0; status == SQZ_OK && i < n; i++) {
        if (sources[i] == i) fold_of[i] = n_sources++ % FOLDS;
        b->fold[i] = fold_of[sources[i]];
    }
    b->result.n_folds = n_sources < FOLDS ? n_sources : FOLDS;
    sqzi_release(b->allocator, sources, 2 * n * sizeof *sources);
    return status;
}

/* Answers to the rows of a fold by what others decide. */
static void answer_fold(const work *w, uint32_t fold, const sqzi_choice *c)
{
    const size_t classes = w->build->result.n_classes;
    const float *logits = logits_of(w->build, c);
    for (size_t i = 0; i < w->n_held; i++) {
        const float *from = logits + i * classes;
        float *to = w->logits + i * classes, most = from[0];
        if (w->build->fold[i] != fold) continue;
        for (size_t k = 0; k < classes; k++) {
            to[k] = (float)((double)from[k] / c->temperature);
            most = from[k] > most ? from[k] : most;
        }
        w->refused[i] = (double)most < c->threshold;
    }
}

static sqz_status measure(const work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build *b = w->build;
    TRY(sqzi_predictions_of_logits(b->held_out, w->logits, w->refused, &b->predictions, error));
    TRY(sqz_measure(b->predictions, &(sqz_measure_options){.seed = b->options.seed},
                    &b->result.measures, error));
    b->result.predictions = b->predictions;
    sqzi_build_find_confusions(b);
fail:
    return status;
}

static void answer_all(const work *w)
{
    sqz_build *b = w->build;
    sqz_build_strength ignored[SQZ_BUILD_STRENGTHS];
    b->choice = decide(w, FOLDS, b->result.strengths);
    if (!b->options.keep_head) {
        b->result.chosen = b->choice.strength;
        b->result.frozen_accuracy = b->choice.frozen_accuracy;
        b->result.full_accuracy = b->choice.full_accuracy;
    }
    b->result.temperature = b->choice.temperature;
    b->result.threshold = b->choice.threshold;
    for (uint32_t f = 0; f < b->result.n_folds; f++) {
        const sqzi_choice c = b->result.n_folds > 1 ? decide(w, f, ignored) : b->choice;
        answer_fold(w, f, &c);
    }
}

/* What a user would not expect of so few rows. */
static void say_few(const sqz_build *b)
{
    enum { FEW = 30 };
    const size_t n = b->result.n_held_out;
    const double share = b->result.false_refusals;
    if (n < FEW) sqzi_build_note(b, "figures of the %zu rows held out are rough", n);
    if (isinf(b->choice.threshold) && share > 0)
        sqzi_build_note(b,
                        "no text will be refused: for %s %% of false refusals it takes %u rows "
                        "held out that are no near copies, and there are %zu of %zu",
                        SQZI_REAL(4, 100 * share),
                        (uint32_t)fmin(ceil(1 / share - 1 - 1e-9), UINT32_MAX),
                        n - b->result.n_near_copies, n);
}

sqz_status sqzi_build_decide(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    work w = {.build = b, .n_held = b->result.n_held_out};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&w, &arena);
    TRY(find_folds(b, error));
    w.block = sqzi_allocate(b->allocator, arena.used);
    FAIL_IF(!w.block, SQZ_ENOMEM, 0, "no memory to decide on %zu rows", w.n_held);
    w.bytes = arena.used;
    arena = sqzi_arena_over(w.block, w.bytes);
    lay_out(&w, &arena);
    answer_all(&w);
    say_few(b);
    TRY(measure(&w, error));
fail:
    sqzi_release(b->allocator, w.block, w.bytes);
    return status;
}
