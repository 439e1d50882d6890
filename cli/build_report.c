/* SPDX-License-Identifier: Apache-2.0 */
/* What a build found. */
#include "build_report.h"

#include <math.h>
#include <string.h>

#include "eval_report.h"
#include "output.h"
#include "squeeze_score.h"
#include "stream.h"

enum { MOST_TEXT = 100, MOST_COPIES = 3 };

static cli_score_job score_of(const cli_built *built)
{
    const sqz_build_result *r = built->result;
    static const cli_lever_texts none;
    cli_score_job job = {
        .model = built->base, .output = built->out, .texts = &none, .result = *r->compressed};
    if (r->compressed->met) cli_score_time(&job, r->held_out);
    return job;
}

static void show_squeezed_json(const cli_built *built)
{
    const sqz_build_result *r = built->result;
    const cli_score_job score = score_of(built);
    cli_json_key("compressed");
    cli_json_open('{');
    cli_json_key_double("teacher_seconds", r->teacher_seconds);
    cli_json_key_double("compress_seconds", r->compress_seconds);
    if (r->compressed->squeezed.measured_share > 0) {
        cli_json_key_double("time_share", r->compressed->squeezed.time_share);
        cli_json_key_double("measured_share", r->compressed->squeezed.measured_share);
    }
    cli_score_show_json(&score);
    cli_json_close('}');
}

static void show_squeezed(const cli_built *built)
{
    const sqz_build_result *r = built->result;
    const cli_score_job score = score_of(built);
    printf("%.1f minutes to make what was squeezed, %.1f to squeeze and heal it; that is the base "
           "here, its ms those of %s:\n",
           r->teacher_seconds / 60, r->compress_seconds / 60, built->base);
    cli_score_show(&score);
    if (r->compressed->squeezed.measured_share > 0)
        printf("before it was healed it took %.1f%% of the time of the base in int8; foretold were "
               "%.1f%%\n",
               100 * r->compressed->squeezed.measured_share,
               100 * r->compressed->squeezed.time_share);
}

static void show_data_json(const sqz_build_result *r)
{
    cli_json_key_number("n", r->n);
    cli_json_key_number("classes", r->n_classes);
    cli_json_key_number("few", r->n_few);
    cli_json_key_number("absent", r->n_absent);
    cli_json_key_number("repeats", r->n_repeats);
    cli_json_key_number("contradictions", r->n_contradictions);
    cli_json_key_number("median_pieces", r->median_pieces);
    cli_json_key_number("most_pieces", r->most_pieces);
    cli_json_key_number("truncated", r->n_cut);
    cli_json_key_number("held_out", r->n_held_out);
    cli_json_key_number("near_copies", r->n_near_copies);
    cli_json_key_number("folds", r->n_folds);
    cli_json_key_number("texts_read", r->n_read);
}

bool cli_was_built(const cli_built *built)
{
    const sqz_compress_result *compressed = built->result->compressed;
    return !compressed || compressed->met;
}

static void show_model_json(const sqz_build_result *r)
{
    cli_json_key_double("temperature", r->temperature);
    cli_json_key_double("threshold", r->threshold);
    cli_json_key_number("answered", r->measures.n_answered);
    cli_json_key_number("answered_right", r->measures.n_answered_right);
    cli_json_figures(r->measures.figures, r->measures.n_figures);
}

void cli_built_show_json(const cli_built *built)
{
    const sqz_build_result *r = built->result;
    cli_json_open('{');
    cli_json_key_string("model", built->out);
    cli_json_key_string("data_sha256", sqz_dataset_sha256(built->dataset));
    show_data_json(r);
    cli_json_key_string("method", r->kept ? "kept" : r->full ? "full" : "frozen");
    cli_json_key_string("why", r->why);
    if (!r->kept) {
        cli_json_key_double("frozen_accuracy", r->frozen_accuracy);
        cli_json_key_double("full_accuracy", r->full_accuracy);
        cli_json_key_double("c", r->strengths[r->chosen].c);
    }
    if (r->compressed) show_squeezed_json(built);
    if (cli_was_built(built)) show_model_json(r);
    cli_json_close('}');
}

static void print_example(const sqz_example *e, const char *before)
{
    size_t shown = e->input.text.n_bytes < MOST_TEXT ? e->input.text.n_bytes : MOST_TEXT;
    while (shown < e->input.text.n_bytes && shown &&
           ((unsigned char)e->input.text.bytes[shown] & 0xC0) == 0x80)
        shown--;
    printf("      %sline %llu: ", before, (unsigned long long)e->line);
    cli_print_text(e->input.text.bytes, shown);
    puts(shown < e->input.text.n_bytes ? "..." : "");
}

static void print_class(const sqz_build_result *r, uint32_t k)
{
    const char *name = sqz_dataset_class(r->held_out, k);
    cli_print_text(name, strlen(name));
}

static void show_data(const sqz_dataset *dataset, const sqz_build_result *r)
{
    size_t n;
    const sqz_example *examples = sqz_dataset_examples(dataset, &n);
    printf("%zu rows, %u classes; %zu rows repeat a text, %zu contradict it\n", r->n, r->n_classes,
           r->n_repeats, r->n_contradictions);
    printf("%u pieces a text (median), %u at most; %zu rows held out\n", r->median_pieces,
           r->most_pieces, r->n_held_out);
    if (r->n_near_copies)
        printf("%zu of %zu of these have a near copy among the others, such as\n", r->n_near_copies,
               r->n_compared);
    for (size_t i = 0; i < r->n_near_copies && i < MOST_COPIES; i++) {
        print_example(&examples[r->near_copies[i].trained], "");
        print_example(&examples[r->near_copies[i].held_out], "held out, ");
    }
}

static void show_confusions(const sqz_dataset *dataset, const sqz_build_result *r)
{
    size_t n;
    const sqz_example *examples = sqz_dataset_examples(dataset, &n);
    for (uint32_t i = 0; i < r->n_confusions; i++) {
        const sqz_build_confusion *c = &r->confusions[i];
        if (!i) printf("confused most:\n");
        printf("  %6u  ", c->count);
        print_class(r, c->truth);
        printf(" taken for ");
        print_class(r, c->label);
        putchar('\n');
        for (uint32_t j = 0; j < c->n_rows; j++) print_example(&examples[c->rows[j]], "");
    }
}

static void show_model(const cli_built *built)
{
    const sqz_build_result *r = built->result;
    const sqz_measures *m = &r->measures;
    printf("on the %zu rows held out, the best class, answered or not%s:\n", m->n,
           r->n_folds > 1 ? "; each is judged by what the others decided" : "");
    cli_print_figures(m->figures, m->n_figures);
    if (isinf(r->threshold)) printf("every text is answered\n");
    else
        printf("%.1f %% of them are answered, %.1f %% of the answers are right\n",
               100 * (double)m->n_answered / (double)m->n,
               m->n_answered ? 100 * (double)m->n_answered_right / (double)m->n_answered : 0.0);
    show_confusions(built->dataset, r);
    printf("wrote %s, %s and %s\n", built->out, built->card, built->predictions);
}

void cli_built_show(const cli_built *built)
{
    const sqz_build_result *r = built->result;
    show_data(built->dataset, r);
    printf("%s: %s\n",
           r->kept   ? "the head of the base"
           : r->full ? "every weight was trained"
                     : "frozen encoder",
           r->why);
    if (r->compressed) show_squeezed(built);
    if (cli_was_built(built)) show_model(built);
}
