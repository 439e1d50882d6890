/* SPDX-License-Identifier: Apache-2.0 */
/* Two forms of one evaluation, and every answer of it. */
#include "eval_report.h"

#include <string.h>

#include "output.h"

enum { MOST_CONFUSIONS = 10, MOST_FLIPS = 20, MOST_TEXT = 100, MOST_CLASSES = 40 };

static sqz_label_kind kind_of(const cli_evaluated *e)
{
    return sqz_dataset_kind(e->dataset);
}

/* ---- for people ---- */

static void print_ratio(sqz_metric metric)
{
    if (metric.reason) printf(" %9s", "-");
    else printf(" %9.4f", metric.value);
}

static void print_classes(const cli_evaluated *e)
{
    const sqz_measures *m = e->measures;
    if (!m->n_classes) return;
    printf("%-24s precision    recall        f1  support\n",
           kind_of(e) == SQZ_LABELS_WORDS ? "entity" : "class");
    for (uint32_t k = 0; k < m->n_classes && k < MOST_CLASSES; k++) {
        const sqz_class_figures *c = &m->classes[k];
        printf("%-24.40s", c->name);
        print_ratio(c->precision);
        print_ratio(c->recall);
        print_ratio(c->f1);
        printf(" %8llu\n", (unsigned long long)c->support);
    }
    if (m->n_classes > MOST_CLASSES)
        printf("and %u more classes (--json has all)\n", m->n_classes - MOST_CLASSES);
}

/* The largest cell off the diagonal that comes after (count, cell) in falling order; false: none.
 */
static bool next_confusion(const sqz_measures *m, uint64_t *count, size_t *cell)
{
    const size_t n = m->n_classes, cells = n * n;
    uint64_t best = 0;
    size_t at = cells;
    for (size_t c = 0; c < cells; c++) {
        const uint64_t value = m->confusion[c];
        if (c / n == c % n || !value || value > *count || (value == *count && c <= *cell)) continue;
        if (value <= best) continue;
        best = value;
        at = c;
    }
    *count = best;
    *cell = at;
    return best > 0;
}

static void print_confusions(const sqz_measures *m)
{
    uint64_t count = UINT64_MAX;
    size_t cell = 0;
    if (!m->confusion) return;
    for (int shown = 0; shown < MOST_CONFUSIONS && next_confusion(m, &count, &cell); shown++) {
        if (!shown) printf("confused most:\n");
        printf("  %6llu  %s taken for %s\n", (unsigned long long)count,
               m->classes[cell / m->n_classes].name, m->classes[cell % m->n_classes].name);
    }
}

static void print_labels(const cli_evaluated *e, const uint32_t *labels, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        if (k) putc(kind_of(e) == SQZ_LABELS_WORDS ? ' ' : '|', cli_out());
        const char *name = sqz_dataset_class(e->dataset, labels[k]);
        cli_print_text(name, strlen(name));
    }
}

static void print_answer(const cli_evaluated *e, const sqz_answer_of *a)
{
    if (kind_of(e) == SQZ_LABELS_ONE) print_labels(e, &a->label, 1);
    else if (kind_of(e) == SQZ_LABELS_VALUE) fprintf(cli_out(), "%.9g", a->value);
    else print_labels(e, a->labels, a->n_labels);
}

static sqz_answer_of truth_of(const sqz_example *x)
{
    return (sqz_answer_of){
        .label = x->label, .labels = x->labels, .n_labels = x->n_labels, .value = x->value};
}

/* "line 12: better: billing, was shipping: the text ..." */
static void print_flip(const cli_evaluated *e, size_t i, const sqz_answer_of *was,
                       const sqz_answer_of *is)
{
    size_t n;
    const sqz_example *x = &sqz_dataset_examples(e->dataset, &n)[i];
    const sqz_text text = x->input.text;
    printf("  line %llu, %s: ", (unsigned long long)x->line, is->right ? "better" : "worse");
    print_answer(e, is);
    printf(" instead of ");
    print_answer(e, was);
    printf(": ");
    size_t shown = text.n_bytes < MOST_TEXT ? text.n_bytes : MOST_TEXT;
    while (shown < text.n_bytes && shown && ((unsigned char)text.bytes[shown] & 0xC0) == 0x80)
        shown--;
    cli_print_text(text.bytes, shown);
    printf("%s\n", shown < text.n_bytes ? "..." : "");
}

static void print_comparison(const cli_evaluated *e)
{
    const sqz_comparison *c = e->comparison;
    uint64_t shown = 0;
    printf("\n%s less %s, with intervals of paired resamples:\n", e->model, e->against);
    cli_print_figures(c->figures, c->n_figures);
    if (c->no_pairs) return;
    printf("right alone: %llu and %llu; McNemar's exact test: p = %.3g\n",
           (unsigned long long)c->only_other, (unsigned long long)c->only_base, c->p);
    for (size_t i = 0; i < c->n; i++) {
        const sqz_answer_of was = sqz_predictions_answer(e->base, i);
        const sqz_answer_of is = sqz_predictions_answer(e->predictions, i);
        if (was.right != is.right && shown++ < MOST_FLIPS) print_flip(e, i, &was, &is);
    }
    if (shown > MOST_FLIPS)
        printf("  and %llu more (--predictions FILE has all)\n",
               (unsigned long long)(shown - MOST_FLIPS));
}

/* Of a model that refuses some texts; the figures are of the best class of each. */
static void print_answered(const cli_evaluated *e)
{
    const sqz_measures *m = e->measures;
    if (kind_of(e) != SQZ_LABELS_ONE || m->n_answered == m->n) return;
    printf("%zu of them are answered, %zu of these right\n", m->n_answered, m->n_answered_right);
}

void cli_show_evaluated(const cli_evaluated *e)
{
    printf("%s, %zu examples, with intervals of 95%%\n", sqz_dataset_name(e->dataset),
           e->measures->n);
    cli_print_figures(e->measures->figures, e->measures->n_figures);
    print_answered(e);
    print_classes(e);
    print_confusions(e->measures);
    if (e->comparison) print_comparison(e);
}

/* ---- for programs ---- */

static void put_metric(const char *key, sqz_metric metric)
{
    cli_json_key(key);
    if (metric.reason) cli_json_null();
    else cli_json_double(metric.value);
}

static void put_classes(const sqz_measures *m)
{
    cli_json_key("classes");
    cli_json_open('[');
    for (uint32_t k = 0; k < m->n_classes; k++) {
        const sqz_class_figures *c = &m->classes[k];
        cli_json_open('{');
        cli_json_key_string("label", c->name);
        put_metric("precision", c->precision);
        put_metric("recall", c->recall);
        put_metric("f1", c->f1);
        cli_json_key_number("support", c->support);
        cli_json_close('}');
    }
    cli_json_close(']');
    if (!m->confusion) return;
    cli_json_key("confusion");
    cli_json_open('[');
    for (uint32_t t = 0; t < m->n_classes; t++) {
        cli_json_open('[');
        for (uint32_t p = 0; p < m->n_classes; p++)
            cli_json_number(m->confusion[(size_t)t * m->n_classes + p]);
        cli_json_close(']');
    }
    cli_json_close(']');
}

/* Why a figure is null. */
static void put_reasons(const sqz_measures *m)
{
    bool any = false;
    for (uint32_t f = 0; f < m->n_figures; f++) {
        if (!m->figures[f].metric.reason) continue;
        if (!any) {
            cli_json_key("reasons");
            cli_json_open('{');
        }
        any = true;
        cli_json_key_string(m->figures[f].name, m->figures[f].metric.reason);
    }
    if (any) cli_json_close('}');
}

static void put_comparison(const cli_evaluated *e)
{
    const sqz_comparison *c = e->comparison;
    cli_json_key("against");
    cli_json_open('{');
    cli_json_key_string("model", e->against);
    cli_json_figures(c->figures, c->n_figures);
    if (!c->no_pairs) {
        cli_json_key_number("better", c->only_other);
        cli_json_key_number("worse", c->only_base);
        cli_json_key_double("p", c->p);
    }
    cli_json_close('}');
}

void cli_show_evaluated_json(const cli_evaluated *e)
{
    cli_json_open('{');
    cli_json_key_string("data", sqz_dataset_name(e->dataset));
    cli_json_key_string("data_sha256", sqz_dataset_sha256(e->dataset));
    cli_json_key_number("n", e->measures->n);
    cli_json_key_number("truncated", sqz_predictions_cut(e->predictions));
    cli_json_figures(e->measures->figures, e->measures->n_figures);
    if (e->measures->n_answered < e->measures->n && kind_of(e) == SQZ_LABELS_ONE) {
        cli_json_key_number("answered", e->measures->n_answered);
        cli_json_key_number("answered_right", e->measures->n_answered_right);
    }
    put_reasons(e->measures);
    put_classes(e->measures);
    if (e->comparison) put_comparison(e);
    cli_json_close('}');
}

/* ---- every answer ---- */

static void put_answer(const cli_evaluated *e, const char *key, const sqz_answer_of *a)
{
    cli_json_key(key);
    if (kind_of(e) == SQZ_LABELS_VALUE) {
        cli_json_double(a->value);
        return;
    }
    if (kind_of(e) == SQZ_LABELS_ONE) {
        cli_json_string(sqz_dataset_class(e->dataset, a->label));
        return;
    }
    cli_json_open('[');
    for (uint32_t k = 0; k < a->n_labels; k++)
        cli_json_string(sqz_dataset_class(e->dataset, a->labels[k]));
    cli_json_close(']');
}

static void write_object(const cli_evaluated *e, size_t i, const sqz_example *x)
{
    const sqz_answer_of a = sqz_predictions_answer(e->predictions, i), truth = truth_of(x);
    cli_json_open('{');
    cli_json_key_number("row", i);
    cli_json_key_number("line", x->line);
    put_answer(e, "prediction", &a);
    put_answer(e, "truth", &truth);
    if (e->base) {
        const sqz_answer_of was = sqz_predictions_answer(e->base, i);
        put_answer(e, "against", &was);
    }
    if (a.scores) {
        cli_json_key("scores");
        cli_json_floats(a.scores, sqz_dataset_n_classes(e->dataset));
    }
    if (a.refused) {
        cli_json_key("refused");
        cli_json_bool(true);
    }
    if (a.cut) {
        cli_json_key("truncated");
        cli_json_bool(true);
    }
    cli_json_close('}');
}

static void write_row(const cli_evaluated *e, size_t i, const sqz_example *x)
{
    const sqz_answer_of a = sqz_predictions_answer(e->predictions, i), truth = truth_of(x);
    fprintf(cli_out(), "%zu\t%llu\t", i, (unsigned long long)x->line);
    print_answer(e, &a);
    putc('\t', cli_out());
    print_answer(e, &truth);
    if (e->base) {
        const sqz_answer_of was = sqz_predictions_answer(e->base, i);
        putc('\t', cli_out());
        print_answer(e, &was);
    }
    if (kind_of(e) == SQZ_LABELS_ONE)
        fprintf(cli_out(), "\t%.9g\t%d", (double)a.scores[a.label], a.refused);
    fprintf(cli_out(), "\t%d\n", a.cut);
}

void cli_write_answers(const cli_evaluated *e, bool as_json)
{
    size_t n;
    const sqz_example *examples = sqz_dataset_examples(e->dataset, &n);
    if (!as_json)
        fprintf(cli_out(), "row\tline\tprediction\ttruth%s%s\ttruncated\n",
                e->base ? "\tagainst" : "", kind_of(e) == SQZ_LABELS_ONE ? "\tscore\trefused" : "");
    for (size_t i = 0; i < n; i++) {
        if (as_json) write_object(e, i, &examples[i]);
        else write_row(e, i, &examples[i]);
    }
}
