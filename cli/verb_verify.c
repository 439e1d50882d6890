/* SPDX-License-Identifier: Apache-2.0 */
/* A model's results on this machine beside results from elsewhere: those that its file carries, or
 * a .npz file of vectors. */
#include <squeezebert/vectors.h>
#include <stdlib.h>

#include "output.h"
#include "verbs.h"

static const char *against;
static double tolerance;

static const cli_option verify_options[] = {
    {"against", 0, CLI_TEXT, &against, "FILE", "compare with the vectors of this .npz file"},
    {"tolerance", 0, CLI_REAL, &tolerance, "X",
     "with --against: the largest difference that agrees (default: 2^-14 of the largest number, at "
     "least of 1)"},
    {0},
};

static void show_error(const char *key, double error)
{
    cli_json_key(key);
    if (error < 0) cli_json_null();
    else cli_json_double(error);
}

static sqz_vector_report *reports; /* [n_reports], for JSON, which is written once all is known */
static size_t n_reports;

static void keep_report(void *user, const sqz_vector_report *r)
{
    (void)user;
    reports = cli_allocate(reports, (n_reports + 1) * sizeof *reports);
    reports[n_reports++] = *r;
}

static void show_report_json(const sqz_vector_report *r)
{
    cli_json_open('{');
    cli_json_key_number("sequence", r->sequence);
    cli_json_key_number("tokens", r->n_tokens);
    show_error("hidden_error", r->hidden_error);
    show_error("logits_error", r->logits_error);
    cli_json_key("ok");
    cli_json_bool(r->agrees);
    cli_json_close('}');
}

static void report_text(void *user, const sqz_vector_report *r)
{
    (void)user;
    printf("sequence %u, %u tokens:", r->sequence, r->n_tokens);
    if (r->hidden_error >= 0) printf(" hidden states off by %.3g", r->hidden_error);
    if (r->logits_error >= 0)
        printf("%s logits off by %.3g", r->hidden_error >= 0 ? "," : "", r->logits_error);
    puts(r->agrees ? "" : "  DIFFERS");
}

/* Before anything is computed: damaged weights may be within any tolerance. */
static sqz_file_check checked;

static void check_file(const char *path)
{
    sqz_error error = {0};
    cli_check(sqz_model_check(cli_context(), path, &checked, &error), &error);
    if (!checked.has_checksum)
        cli_say("%s: carries no checksum: whether it is as it was written was not checked", path);
    else if (!cli.json) puts("every byte is as it was written");
}

static void show_json(const sqz_verification *v, bool ok)
{
    cli_json_key("has_checksum");
    cli_json_bool(checked.has_checksum);
    cli_json_key_number("vectors", v->n_vectors);
    cli_json_key_double("max_error", v->max_error);
    cli_json_key_double("tolerance", v->tolerance);
    cli_json_key("ok");
    cli_json_bool(ok);
}

static void show_reports_json(const sqz_verification *v, bool ok)
{
    cli_json_open('{');
    show_json(v, ok);
    cli_json_key("sequences");
    cli_json_open('[');
    for (size_t i = 0; i < n_reports; i++) show_report_json(&reports[i]);
    cli_json_close(']');
    cli_json_close('}');
    free(reports);
}

static int run_against(const sqz_model *model)
{
    sqz_error error = {0};
    sqz_verification v;
    const sqz_vectors_options options = {.tolerance = tolerance,
                                         .report = cli.json ? keep_report : report_text};
    const sqz_status status = sqz_vectors_compare(model, against, &options, &v, &error);
    if (status != SQZ_ENUMERIC) cli_check(status, &error);
    if (cli.json) show_reports_json(&v, status == SQZ_OK);
    else
        printf("%u sequences, largest difference %.3g, %.3g allowed\n", v.n_vectors, v.max_error,
               v.tolerance);
    if (status != SQZ_OK) cli_say("%s", error.text);
    return status == SQZ_OK ? CLI_DONE : CLI_FAILED;
}

static int run_verify(char **arguments, uint32_t n)
{
    (void)n;
    sqz_error error = {0};
    sqz_verification v;
    if (tolerance != 0 && !against)
        cli_die(
            CLI_USAGE,
            "--tolerance goes with --against FILE; the vectors that a model carries have theirs");
    check_file(arguments[0]);
    if (against) return run_against(cli_model(arguments[0]));
    const sqz_status status = sqz_model_verify(cli_model(arguments[0]), &v, &error);
    if (status != SQZ_ENUMERIC) cli_check(status, &error);
    const bool ok = status == SQZ_OK && v.n_vectors > 0;
    if (cli.json) {
        cli_json_open('{');
        show_json(&v, ok);
        cli_json_close('}');
    } else {
        printf("%u reference vectors, largest difference %.3g, %.3g allowed\n", v.n_vectors,
               v.max_error, v.tolerance);
    }
    if (v.n_vectors == 0) cli_say("the file carries no reference vectors: nothing was verified");
    return ok ? CLI_DONE : CLI_FAILED;
}

static const cli_option *const verify_tables[] = {verify_options, cli_model_options, NULL};
const cli_verb cli_verb_verify = {
    "verify",
    "compare this machine's results with those the file carries, or with a file of vectors",
    "MODEL",
    "First the file's bytes are compared with the SHA-256 that it carries (info --check does that "
    "alone). Then its results are compared,\n"
    "without --against with the reference vectors in the model file, with it with a .npz file as "
    "numpy.savez writes it, with the arrays ids [N] (the tokens of all\n"
    "sequences, one behind the other), lengths [B] and types [N] where needed, and hidden [N, "
    "width], logits [B or N, classes] or both.\n"
    "The default tolerance is 1024 roundings of f32: give a larger one for a model stored in f16, "
    "bf16 or int8 and vectors of its f32 source.\n"
    "Exit code 1 where results differ by more than is allowed, or where there is nothing to "
    "compare; 3 where the file is damaged.",
    "squeezebert verify minilm.gguf --against vectors.npz",
    1,
    1,
    verify_tables,
    run_verify};
