/* SPDX-License-Identifier: Apache-2.0 */
/* What was found, for people, in Markdown. */
#include <errno.h>
#include <math.h>
#include <squeezebert/output.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "build/builder.h"

enum { MOST_TEXT = 120, MOST_COPIES = 5 };

/* A text in a cell or an item: one line, nothing of Markdown or HTML in it is meant. */
static void put_text(FILE *to, const char *bytes, size_t n)
{
    size_t shown = n < MOST_TEXT ? n : MOST_TEXT;
    while (shown < n && shown && ((unsigned char)bytes[shown] & 0xC0) == 0x80) shown--;
    for (size_t i = 0; i < shown; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        if (c && strchr("\\`*_{}[]<>#|!&~", c)) putc('\\', to);
        putc(c < ' ' || c == 127 ? ' ' : c, to);
    }
    if (shown < n) fputs("...", to);
}

static void put_name(FILE *to, const char *name)
{
    put_text(to, name, strlen(name));
}

static const char *percent(char text[SQZI_REAL_BYTES], double share)
{
    return sqzi_real_text(text, 4, floor(share * 10000 + 0.5) / 100);
}
#define PERCENT(share) percent((char[SQZI_REAL_BYTES]){0}, (share))

static double part(size_t some, size_t all)
{
    return all ? (double)some / (double)all : 0;
}

static void put_data(const sqz_build *b, FILE *to)
{
    const sqz_build_result *r = &b->result;
    fprintf(to, "## Data\n\n%zu rows, %u classes; %zu are held out, whole sources.\n", r->n,
            r->n_classes, r->n_held_out);
    fprintf(to, "%zu rows have the text of an earlier one, %zu of these another label. ",
            r->n_repeats, r->n_contradictions);
    fprintf(to, "Texts have %u pieces (median), %u at most; %zu are cut.\n", r->median_pieces,
            r->most_pieces, r->n_cut);
    fprintf(to, "SHA-256 of the data: %s\n", sqz_dataset_sha256(b->dataset));
    if (r->n_near_copies)
        fprintf(to,
                "\n%zu of %zu rows held out have a near copy among the others: figures may be "
                "too good by so many. The threshold is set without them.\n\n",
                r->n_near_copies, r->n_compared);
    for (size_t i = 0; i < r->n_near_copies && i < MOST_COPIES; i++) {
        const sqz_near_copy *c = &r->near_copies[i];
        fprintf(to, "- lines %llu and %llu: ", (unsigned long long)b->examples[c->trained].line,
                (unsigned long long)b->examples[c->held_out].line);
        put_text(to, b->examples[c->held_out].input.text.bytes,
                 b->examples[c->held_out].input.text.n_bytes);
        putc('\n', to);
    }
}

static void put_figures(const sqz_build *b, FILE *to)
{
    const sqz_build_result *r = &b->result;
    fprintf(to, "\n## Figures on the rows held out\n\n| figure | value | 95 %% interval |\n"
                "|---|---:|---|\n");
    for (uint32_t f = 0; f < r->measures.n_figures; f++) {
        const sqz_figure *x = &r->measures.figures[f];
        if (x->metric.reason) {
            fprintf(to, "| %s | none: %s | |\n", x->name, x->metric.reason);
            continue;
        }
        fprintf(to, "| %s | %s |", x->name, SQZI_REAL(4, x->metric.value));
        if (x->has_interval)
            fprintf(to, " %s to %s |\n", SQZI_REAL(4, x->low), SQZI_REAL(4, x->high));
        else fputs(" |\n", to);
    }
    if (r->n_folds > 1)
        fprintf(to,
                "\nThe rows held out are %u folds: %stemperature and threshold were decided for "
                "each on the others, so no row was decided on by itself. The model file's own are "
                "decided on all of them.\n",
                r->n_folds, r->kept || r->compressed ? "" : "strength, way of training, ");
    else
        fputs("\nThe rows held out are one source: these figures are of what was decided on them, "
              "and too good.\n",
              to);
    fprintf(to, "\nThese are of the best class, whether it is answered or not. ");
    if (isinf(r->threshold)) fprintf(to, "Every text is answered.\n");
    else
        fprintf(to, "%s %% of the texts are answered, %s %% of the answers are right.\n",
                PERCENT(part(r->measures.n_answered, r->measures.n)),
                PERCENT(part(r->measures.n_answered_right, r->measures.n_answered)));
}

static void put_strengths(const sqz_build_result *r, FILE *to)
{
    fprintf(to, "\n| C | loss held out | accuracy |\n|---:|---:|---:|\n");
    for (uint32_t i = 0; i < SQZ_BUILD_STRENGTHS; i++)
        fprintf(to, "| %s%s | %s | %s |\n", SQZI_REAL(4, r->strengths[i].c),
                i == r->chosen ? " (taken)" : "", SQZI_REAL(4, r->strengths[i].loss),
                SQZI_REAL(4, r->strengths[i].accuracy));
}

static void put_score(FILE *to, const char *what, const sqz_compress_score *s)
{
    fprintf(to, "| %s | %llu | %s |", what, (unsigned long long)s->bytes, SQZI_REAL(4, s->score));
    if (isnan(s->low)) fputs(" |\n", to);
    else fprintf(to, " %s to %s |\n", SQZI_REAL(4, s->low), SQZI_REAL(4, s->high));
}

/* Whole, squeezed and healed, on the rows held out. */
static void put_compressed(const sqz_build_result *r, FILE *to)
{
    const sqz_compress_result *c = r->compressed;
    fprintf(to,
            "\n## Squeezed\n\nOn the rows held out, of which nothing was learned or chosen:\n\n"
            "| | bytes | %s | 95 %% interval |\n|---|---:|---:|---|\n",
            c->name);
    put_score(to, "before, in f32", &c->base);
    put_score(to, "squeezed", &c->before);
    if (c->steps) put_score(to, "healed", &c->after);
    fprintf(to, "\n%llu steps of healing on %zu rows%s. ", (unsigned long long)c->n_steps,
            c->n_learn,
            c->n_steps && !c->steps ? ", which made it no better and are left out" : "");
    for (uint32_t f = 0; f < c->comparison.n_figures; f++) {
        const sqz_figure *d = &c->comparison.figures[f];
        if (strcmp(d->name, c->name) != 0 || d->metric.reason) continue;
        fprintf(to, "Difference of %s in paired resamples: %s", d->name,
                SQZI_REAL(4, d->metric.value));
        if (d->has_interval)
            fprintf(to, " (%s to %s)", SQZI_REAL(4, d->low), SQZI_REAL(4, d->high));
        fputs(".\n", to);
    }
}

static void put_decision(const sqz_build *b, FILE *to)
{
    const sqz_build_result *r = &b->result;
    fprintf(to, "\n## Model\n\n%s%s: %s.\n",
            r->compressed ? "Before it was squeezed, on a part of the other rows. " : "",
            r->kept   ? "The head of the base"
            : r->full ? "Every weight was trained"
                      : "Frozen encoder",
            r->why);
    if (!r->kept) put_strengths(r, to);
    if (r->compressed) put_compressed(r, to);
    fprintf(to, "\nTemperature %s", SQZI_REAL(4, r->temperature));
    if (isinf(r->threshold)) fprintf(to, "; nothing is refused.\n");
    else
        fprintf(to,
                "; a text whose largest logit is below %s is refused: at most %s %% of "
                "new ones, if they are like those held out.\n",
                SQZI_REAL(5, r->threshold), PERCENT(r->false_refusals));
}

static void put_confusions(const sqz_build *b, FILE *to)
{
    const sqz_build_result *r = &b->result;
    if (r->n_confusions) fprintf(to, "\n## Confused most\n\n");
    for (uint32_t i = 0; i < r->n_confusions; i++) {
        const sqz_build_confusion *c = &r->confusions[i];
        fprintf(to, "- ");
        put_name(to, b->labels[c->truth]);
        fprintf(to, " taken for ");
        put_name(to, b->labels[c->label]);
        fprintf(to, ", %u times\n", c->count);
        for (uint32_t j = 0; j < c->n_rows; j++) {
            const sqz_example *e = &b->examples[c->rows[j]];
            fprintf(to, "  - line %llu: ", (unsigned long long)e->line);
            put_text(to, e->input.text.bytes, e->input.text.n_bytes);
            putc('\n', to);
        }
    }
}

static void put_classes(const sqz_build *b, FILE *to)
{
    const sqz_build_result *r = &b->result;
    fprintf(to, "\n## Classes\n\n| class | rows | held out | recall | precision |\n"
                "|---|---:|---:|---:|---:|\n");
    for (uint32_t k = 0; k < r->n_classes; k++) {
        const sqz_class_figures *c = &r->measures.classes[k];
        fputs("| ", to);
        put_name(to, b->labels[k]);
        fprintf(to, " | %llu | %llu | %s | %s |\n", (unsigned long long)r->counts[k],
                (unsigned long long)c->support,
                c->recall.reason ? "-" : SQZI_REAL(4, c->recall.value),
                c->precision.reason ? "-" : SQZI_REAL(4, c->precision.value));
    }
}

sqz_status sqzi_build_put_card(const sqz_build *b, sqz_error *error)
{
    if (!b->card) return SQZ_OK;
    FILE *to = sqz_output_stream(b->card);
    fprintf(to, "# A classifier of %u classes\n\n", b->result.n_classes);
    put_data(b, to);
    put_figures(b, to);
    put_decision(b, to);
    put_confusions(b, to);
    put_classes(b, to);
    if (fflush(to) == 0 && !ferror(to)) return SQZ_OK;
    return sqzi_fail(error, SQZ_EOUTPUT, 0, "%s: cannot be written: %s", b->options.card,
                     strerror(errno));
}
