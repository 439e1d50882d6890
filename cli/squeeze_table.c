/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a squeeze, as text and as JSON. */
#include "squeeze_table.h"

#include <math.h>
#include <stdlib.h>

#include "output.h"

typedef struct row {
    char name[48], from[80], to[80];
    double error;
    uint64_t before, after;
} row;
static row *rows;
static size_t n_rows, rows_capacity;
void cli_squeeze_part(void *user, const sqz_squeezed_part *part)
{
    (void)user;
    if (n_rows == rows_capacity) {
        rows_capacity = rows_capacity ? 2 * rows_capacity : 128;
        rows = cli_allocate(rows, rows_capacity * sizeof *rows);
    }
    row *r = &rows[n_rows++];
    snprintf(r->name, sizeof r->name, "%s", part->name);
    snprintf(r->from, sizeof r->from, "%s", part->from);
    snprintf(r->to, sizeof r->to, "%s", part->to);
    r->error = part->error;
    r->before = part->bytes_before;
    r->after = part->bytes_after;
}

static void show_row(const row *r)
{
    char error[16] = "-";
    if (r->error > 0) snprintf(error, sizeof error, "%.2e", r->error);
    printf("%-20s %-18s %-28s %9s %10llu %10llu\n", r->name, r->from, r->to, error,
           (unsigned long long)r->before, (unsigned long long)r->after);
}

/* What was asked for, and what it comes to. */
static void show_choice(const cli_squeeze_table *t)
{
    const sqz_squeeze_result *r = &t->result;
    printf("chosen for %s%s%s%s: vectors are expected to change by %.4f (1 - cosine)",
           t->budget ? t->budget : "", t->budget && t->time_share ? " and " : "",
           t->time_share ? t->time_share : "", t->time_share ? " of the time" : "", r->change);
    if (r->next_bytes)
        printf(", the next better choice takes %llu bytes\n", (unsigned long long)r->next_bytes);
    else printf(t->budget && !t->time_share ? ", and there is no better choice\n" : "\n");
    if (!t->time_share) return;
    printf("by the table of times%s, %.1f%% of the base's %.3f ms\n",
           r->times_cached ? ", from the cache" : "", 100 * r->time_share, r->base_ms);
    if (r->measured_share > 0)
        printf("measured in turn, %.1f%% of the base's %.3f ms\n", 100 * r->measured_share,
               r->measured_base_ms);
}

void cli_squeeze_show(const cli_squeeze_table *t)
{
    const sqz_squeeze_result *r = &t->result;
    printf("%-20s %-18s %-28s %9s %10s %10s\n", "part", "was", "is", "error", "bytes", "after");
    for (size_t i = 0; i < n_rows; i++) show_row(&rows[i]);
    if (r->pieces_after < r->pieces_before)
        printf("%u of %u pieces stay", r->pieces_after, r->pieces_before);
    if (r->tokens_before > 0)
        printf("; by what each second text keeps, %.2f pieces a text of the others become %.2f",
               r->tokens_before, r->tokens_after);
    if (r->pieces_after < r->pieces_before) printf("\n");
    if (r->n_texts)
        printf("calibrated on %u %s of %u pieces%s\n", r->n_texts,
               t->whole_texts ? "texts" : "sentences", r->n_pieces,
               r->from_cache ? ", from the cache" : "");
    if (t->budget || t->time_share) show_choice(t);
    if (r->n_held_out) printf("on %u other texts: ", r->n_held_out);
    if (r->n_held_out && !isnan(r->cosine)) printf("cosine %.4f, ", r->cosine);
    if (r->n_held_out) printf("%.1f%% of the ten nearest neighbours stay", 100 * r->neighbours);
    if (r->n_held_out && !isnan(r->classes)) printf(", %.1f%% keep their class", 100 * r->classes);
    if (r->n_held_out) printf("\n");
    printf("%llu bytes become %llu (%.1f %%)\n", (unsigned long long)r->bytes_before,
           (unsigned long long)r->bytes_after,
           100 * (double)r->bytes_after / (double)r->bytes_before);
    if (t->score) cli_score_show(t->score);
}

static void show_row_json(const row *r)
{
    cli_json_open('{');
    cli_json_key_string("name", r->name);
    cli_json_key_string("from", r->from);
    cli_json_key_string("to", r->to);
    cli_json_key_double("error", r->error);
    cli_json_key_number("bytes_before", r->before);
    cli_json_key_number("bytes_after", r->after);
    cli_json_close('}');
}

static void show_time_json(const cli_squeeze_table *t)
{
    const sqz_squeeze_result *r = &t->result;
    cli_json_key("time");
    cli_json_open('{');
    cli_json_key_double("change", r->change);
    cli_json_key_double("share", r->time_share);
    cli_json_key_double("base_ms", r->base_ms);
    if (r->measured_share > 0) {
        cli_json_key_double("measured_share", r->measured_share);
        cli_json_key_double("measured_base_ms", r->measured_base_ms);
    }
    cli_json_key("cached");
    cli_json_bool(r->times_cached != 0);
    cli_json_close('}');
}

void cli_squeeze_show_json(const cli_squeeze_table *t)
{
    const sqz_squeeze_result *r = &t->result;
    cli_json_open('{');
    cli_json_key("parts");
    cli_json_open('[');
    for (size_t i = 0; i < n_rows; i++) show_row_json(&rows[i]);
    cli_json_close(']');
    cli_json_key_number("bytes_before", r->bytes_before);
    cli_json_key_number("bytes_after", r->bytes_after);
    cli_json_key_number("pieces_before", r->pieces_before);
    cli_json_key_number("pieces_after", r->pieces_after);
    if (r->tokens_before > 0) {
        cli_json_key_double("tokens_before", r->tokens_before);
        cli_json_key_double("tokens_after", r->tokens_after);
    }
    if (r->n_texts) {
        cli_json_key("calibration");
        cli_json_open('{');
        cli_json_key_number("texts", r->n_texts);
        cli_json_key_number("truncated", r->n_cut);
        cli_json_key_number("pieces", r->n_pieces);
        cli_json_key("cached");
        cli_json_bool(r->from_cache != 0);
        cli_json_close('}');
    }
    if (t->budget) {
        cli_json_key("budget");
        cli_json_open('{');
        cli_json_key_double("change", r->change);
        cli_json_key_number("next_bytes", r->next_bytes);
        cli_json_close('}');
    }
    if (t->time_share) show_time_json(t);
    if (r->n_held_out) {
        cli_json_key("fidelity");
        cli_json_open('{');
        cli_json_key_number("texts", r->n_held_out);
        if (!isnan(r->cosine)) cli_json_key_double("cosine", r->cosine);
        cli_json_key_double("neighbours", r->neighbours);
        if (!isnan(r->classes)) cli_json_key_double("classes", r->classes);
        cli_json_close('}');
    }
    if (t->score) cli_score_show_json(t->score);
    cli_json_close('}');
}

void cli_squeeze_free(void)
{
    free(rows);
    rows = NULL;
    n_rows = rows_capacity = 0;
}
