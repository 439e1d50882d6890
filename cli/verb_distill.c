/* SPDX-License-Identifier: Apache-2.0 */
/* distill: a student learns what its teacher makes of texts. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill.h"
#include "output.h"
#include "text_file.h"
#include "verbs.h"

enum {
    HELD_OUT = 500, /* texts, of a tenth at most */
    LEAST_TEXTS = 11,
    COMPARISONS = 10, /* of a run */
    MAX_PIECES = 128,
    SENTENCE_PIECES = 6, /* at least, special ones included */
    CHECKPOINT_MINUTES = 10,
    DRY_STEPS = 3
};

static const char *teacher_path, *student_path, *losses = "hidden:1,pooled:5", *map, *texts_path,
                                                *keep;
static uint32_t relation_heads, relation_layer, max_pieces, measure_steps;
static double temperature = NAN;
static bool whole_texts;

static const cli_option what_options[] = {
    {"output", 'o', CLI_TEXT, &cli_tuning.output_path, "FILE", "the model file to write"},
    {"teacher", 0, CLI_TEXT, &teacher_path, "MODEL",
     "what is learned of: any model file with the student's vocabulary"},
    {"student", 0, CLI_TEXT, &student_path, "MODEL", "a float model file: what `squeeze` made"},
    {"loss", 0, CLI_TEXT, &losses, "NAME:WEIGHT,...",
     "what is learned (default: hidden:1,pooled:5): logits, soft, logits_mse of the head; hidden "
     "states; attention; queries, keys, values or relations, which are all three; pooled, "
     "pooled_mse, similarities of embeddings"},
    {"temperature", 0, CLI_REAL, &temperature, "T", "of logits and soft (default: 1)"},
    {"map", 0, CLI_TEXT, &map, "uniform|last|LIST",
     "which layer of the teacher each block of the student learns: 2,3,5,6 (default: uniform)"},
    {"relation-heads", 0, CLI_NUMBER, &relation_heads, "N",
     "that queries, keys and values are cut into (default: the teacher's heads)"},
    {"relation-layer", 0, CLI_NUMBER, &relation_layer, "N",
     "of the teacher, from 1 (default: the last)"},
    {"texts", 0, CLI_TEXT, &texts_path, "FILE",
     "texts without labels, one a line, FILE.gz too: cut into sentences"},
    {"whole-texts", 0, CLI_FLAG, &whole_texts, NULL, "do not cut them into sentences"},
    {"max-pieces", 0, CLI_NUMBER, &max_pieces, "N",
     "take sentences by chance until they have so many pieces (default: all)"},
    {0},
};

static const cli_option recipe_options[] = {
    {"epochs", 0, CLI_NUMBER, &cli_tuning.epochs, "N", "times that all is learned (default: 1)"},
    {"lr", 0, CLI_REAL, &cli_tuning.lr, "RATE", "learning rate after the warm-up (default: 5e-4)"},
    {"batch", 0, CLI_NUMBER, &cli_tuning.batch, "N", "examples of a step (default: 32)"},
    {"accumulate", 0, CLI_NUMBER, &cli_tuning.accumulate, "N",
     "parts that a batch is computed in: less memory, the same step but for rounding"},
    {"seed", 0, CLI_NUMBER, &cli_tuning.seed, "N", "of order, choice and dropout (default: 1)"},
    {"dropout", 0, CLI_REAL, &cli_tuning.dropout, "SHARE", "of the student (default: 0)"},
    {"max-length", 0, CLI_NUMBER, &cli_tuning.max_length, "N",
     "pieces of a text, special tokens included (default: 128, or what the model takes)"},
    {"max-steps", 0, CLI_NUMBER, &cli_tuning.max_steps, "N",
     "stop after so many steps; the schedule stays that of all epochs"},
    {"warmup", 0, CLI_REAL, &cli_tuning.warmup, "SHARE",
     "of the steps, rising from 0 (default: 0.05)"},
    {"schedule", 0, CLI_CHOICE, &cli_tuning.schedule, "linear|cosine|constant",
     "after the warm-up"},
    {"weight-decay", 0, CLI_REAL, &cli_tuning.weight_decay, "RATE",
     "of matrices and tables (default: 0.01)"},
    {"clip", 0, CLI_REAL, &cli_tuning.clip, "NORM",
     "largest norm of the gradient, 0: any (default: 1)"},
    {"freeze", 0, CLI_TEXT, &cli_tuning.freeze, "embeddings|N",
     "leave the embeddings as they are, or these and the first N blocks"},
    {0},
};

static const cli_option run_options[] = {
    {"holdout", 0, CLI_REAL, &cli_tuning.holdout, "SHARE",
     "compare on so much, which is not learned (default: 500 texts, a tenth at most)"},
    {"keep", 0, CLI_TEXT, &keep, "last|best",
     "the step whose weights are written: the last, or the nearest to the teacher on what is held "
     "out (default: last)"},
    {"measure-steps", 0, CLI_NUMBER, &measure_steps, "N",
     "compare each N steps (default: a tenth of them)"},
    {"patience", 0, CLI_NUMBER, &cli_tuning.patience, "N",
     "with --keep best: stop after so many comparisons that were not the best"},
    {"checkpoint", 0, CLI_TEXT, &cli_tuning.checkpoint, "FOLDER",
     "where a run can go on from (default: FILE.checkpoint)"},
    {"checkpoint-steps", 0, CLI_NUMBER, &cli_tuning.checkpoint_steps, "N",
     "write one each N steps"},
    {"checkpoint-minutes", 0, CLI_REAL, &cli_tuning.checkpoint_minutes, "M",
     "and each M minutes (default: 10; 0: not by time)"},
    {"resume", 0, CLI_FLAG, &cli_tuning.resume, NULL,
     "go on from the newest checkpoint; begin where there is none"},
    {"log", 0, CLI_TEXT, &cli_tuning.log_path, "FILE",
     "add a JSON line for each step and measurement"},
    {"progress", 0, CLI_CHOICE, &cli.progress, "auto|none", "progress on stderr"},
    {"dry-run", 0, CLI_FLAG, &cli_tuning.dry_run, NULL,
     "take three steps, print what the whole run would take, write nothing"},
    {0},
};

/* A run. */
typedef struct job {
    sqz_dataset *texts;
    uint32_t *rows; /* to learn, then held out */
    size_t n, n_learn;
    sqz_batches *batches;
    sqz_trainer *trainer;
    sqz_model *teacher, *student;
    sqz_distil_recipe recipe;
    uint32_t *layers;
    cli_distilling watch;
    sqz_train_result result;
    sqz_likeness before, after;
} job;

/* ---- the command line ---- */

static void check_usage(void)
{
    if (!teacher_path) cli_die(CLI_USAGE, "--teacher MODEL is needed: what is learned of");
    if (!student_path) cli_die(CLI_USAGE, "--student MODEL is needed: what learns");
    if (!texts_path) cli_die(CLI_USAGE, "--texts FILE is needed: what is learned on");
    if (!cli_tuning.output_path && !cli_tuning.dry_run)
        cli_die(CLI_USAGE, "-o FILE is needed: the model to write");
    if (keep && strcmp(keep, "last") != 0 && strcmp(keep, "best") != 0)
        cli_die(CLI_USAGE, "--keep is last or best, not %s", keep);
    if (cli_tuning.patience && (!keep || strcmp(keep, "best") != 0))
        cli_die(CLI_USAGE, "--patience goes with --keep best");
    if (!cli_tuning.batch) cli_die(CLI_USAGE, "--batch is at least 1");
    if (!isnan(cli_tuning.lr) && !(cli_tuning.lr > 0)) cli_die(CLI_USAGE, "--lr is above 0");
    if (!isnan(temperature) && !(temperature > 0)) cli_die(CLI_USAGE, "--temperature is above 0");
    if (!isnan(cli_tuning.holdout) && !(cli_tuning.holdout > 0 && cli_tuning.holdout < 1))
        cli_die(CLI_USAGE, "--holdout is above 0 and below 1, not %g", cli_tuning.holdout);
    const char *const outputs[] = {cli_tuning.output_path, cli_tuning.log_path};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        if (!outputs[i]) continue;
        if (i) cli_not_over(outputs[i], student_path); /* the model may replace its base */
        cli_not_over(outputs[i], teacher_path);
        cli_not_over(outputs[i], texts_path);
    }
}

/* ---- data ---- */

static void open_texts(job *j)
{
    sqz_error error = {0};
    cli_text_file file = cli_open_text_file(texts_path);
    const uint64_t most = max_pieces ? max_pieces / SENTENCE_PIECES + 10 * HELD_OUT : 0;
    const sqz_texts_options o = {.whole = whole_texts,
                                 .most = (uint32_t)most,
                                 .seed = cli_tuning.seed};
    cli_check(sqz_dataset_open_texts(cli_context(), texts_path, file.texts, file.read.n, &o,
                                     &j->texts, &error),
              &error);
    cli_free_text_file(&file);
    (void)sqz_dataset_examples(j->texts, &j->n);
}

static void hold_out(job *j)
{
    sqz_error error = {0};
    const sqz_example *all = sqz_dataset_examples(j->texts, &j->n);
    const double usual = j->n > 10 * HELD_OUT ? (double)HELD_OUT / (double)j->n : 0.1;
    const double share = isnan(cli_tuning.holdout) ? usual : cli_tuning.holdout;
    j->rows = cli_allocate(NULL, j->n * sizeof *j->rows);
    cli_check(sqz_dataset_split(j->texts, share, 0, j->rows, &j->n_learn, &error), &error);
    j->watch.n_texts = j->n - j->n_learn;
    if (j->watch.n_texts < LEAST_TEXTS)
        cli_die(CLI_USAGE, "%s: %zu texts are held out of %zu, at least %d are needed", texts_path,
                j->watch.n_texts, j->n, LEAST_TEXTS);
    j->watch.texts = cli_allocate(NULL, j->watch.n_texts * sizeof *j->watch.texts);
    for (size_t i = 0; i < j->watch.n_texts; i++)
        j->watch.texts[i] = all[j->rows[j->n_learn + i]].input.text;
}

static void tokenize(const job *j)
{
    sqz_error error = {0};
    const uint32_t a = sqz_model_get_info(j->student)->max_positions,
                   b = sqz_model_get_info(j->teacher)->max_positions, most = a < b ? a : b,
                   length = cli_tuning.max_length ? cli_tuning.max_length
                            : most < MAX_PIECES   ? most
                                                  : MAX_PIECES;
    if (length > most)
        cli_die(CLI_USAGE, "--max-length %u: the models take %u pieces at most", length, most);
    cli_check(sqz_dataset_tokenize(j->texts, sqz_model_embed_tokenizer(j->student), length, &error),
              &error);
}

static void open_batches(job *j)
{
    sqz_error error = {0};
    const sqz_batches_options o = {.rows = j->rows,
                                   .n_rows = j->n_learn,
                                   .batch = cli_tuning.batch,
                                   .seed = cli_tuning.seed,
                                   .most_pieces = max_pieces};
    cli_check(sqz_batches_open(j->texts, &o, &j->batches, &error), &error);
}

/* ---- the run ---- */

static sqz_train_recipe recipe_of(job *j)
{
    j->recipe.teacher = teacher_path;
    j->recipe.temperature = isnan(temperature) ? 0 : temperature;
    j->recipe.relation_heads = relation_heads;
    j->recipe.relation_layer = relation_layer;
    cli_read_losses(losses, &j->recipe);
    j->layers = cli_read_map(map, &j->recipe);
    cli_job none = {.kind = SQZ_LABELS_ONE};
    sqz_train_recipe r = cli_job_recipe(&none);
    r.distil = &j->recipe;
    if (!r.epochs) r.epochs = 1;
    if (isnan(cli_tuning.lr)) r.lr = 5e-4;
    if (isnan(cli_tuning.warmup)) r.warmup = 0.05;
    if (isnan(cli_tuning.dropout)) r.dropout = -1;
    return r;
}

static void open_log(job *j)
{
    if (!cli_tuning.log_path || cli_tuning.dry_run) return;
    j->watch.log = fopen(cli_tuning.log_path, cli_tuning.resume ? "ae" : "we");
    j->watch.log_name = cli_tuning.log_path;
    if (!j->watch.log)
        cli_die(cli_code(sqz_status_of_errno(errno, 1)), "%s: cannot write: %s",
                cli_tuning.log_path, strerror(errno));
}

static sqz_train_run run_of(job *j, const char *folder)
{
    const double minutes = cli_tuning.checkpoint_minutes;
    const uint64_t steps = sqz_trainer_steps(j->trainer),
                   every = measure_steps ? measure_steps : (steps + COMPARISONS - 1) / COMPARISONS;
    sqz_train_run run = {.progress = cli_distilling_step,
                         .note = cli_watch_note,
                         .user = &j->watch};
    j->watch.trainer = j->trainer;
    j->watch.teacher = j->teacher;
    j->watch.recipe = &j->recipe;
    j->watch.stop_after = cli_tuning.dry_run ? DRY_STEPS : 0;
    if (cli_tuning.dry_run) return run;
    if (keep && strcmp(keep, "best") == 0) {
        run.evaluate = cli_distilling_evaluate;
        run.evaluate_steps = every;
        run.patience = cli_tuning.patience;
    } else j->watch.every = every;
    run.checkpoint = folder;
    run.checkpoint_steps = cli_tuning.checkpoint_steps;
    run.checkpoint_minutes = isnan(minutes) ? CHECKPOINT_MINUTES : minutes;
    run.resume = cli_tuning.resume;
    return run;
}

static void train(job *j)
{
    sqz_error error = {0};
    const sqz_train_recipe recipe = recipe_of(j);
    char *folder = NULL;
    cli_check(sqz_trainer_open(cli_context(), student_path, &recipe, sqz_batches_data(j->batches),
                               &j->trainer, &error),
              &error);
    if (cli_tuning.output_path && !cli_tuning.checkpoint) {
        folder = cli_allocate(NULL, strlen(cli_tuning.output_path) + sizeof ".checkpoint");
        sprintf(folder, "%s.checkpoint", cli_tuning.output_path);
    }
    const sqz_train_run run = run_of(j, folder ? folder : cli_tuning.checkpoint);
    const sqz_status status = sqz_trainer_run(j->trainer, &run, &j->result, &error);
    if (!(cli_tuning.dry_run && status == SQZ_ECANCELLED)) cli_check(status, &error);
    free(folder);
}

/* ---- what came out ---- */

static void show_plan(const job *j)
{
    const uint64_t steps = sqz_trainer_steps(j->trainer);
    printf("%llu steps of %u, %.3f s a step, %.1f minutes in all, without comparing\n",
           (unsigned long long)steps, cli_tuning.batch, j->watch.step_seconds,
           j->watch.step_seconds * (double)steps / 60);
    printf("%.0f MB of memory\n", (double)sqz_trainer_memory(j->trainer) / 1e6);
}

static void show_model_json(const char *key, const sqz_likeness *likeness, uint64_t bytes,
                            double milliseconds)
{
    cli_json_key(key);
    cli_json_open('{');
    if (likeness) {
        cli_json_key_double("cosine", likeness->cosine);
        cli_json_key_double("cosine_error", likeness->cosine_error);
        cli_json_key_double("neighbours", likeness->neighbours);
        cli_json_key_double("neighbours_error", likeness->neighbours_error);
    }
    cli_json_key_number("bytes", bytes);
    cli_json_key_double("milliseconds", milliseconds);
    cli_json_close('}');
}

static void show_model(const char *name, const sqz_likeness *likeness, uint64_t bytes,
                       double milliseconds)
{
    char cosine[40] = "1", neighbours[40] = "1";
    if (likeness) {
        snprintf(cosine, sizeof cosine, "%.4f +- %.4f", likeness->cosine,
                 1.96 * likeness->cosine_error);
        snprintf(neighbours, sizeof neighbours, "%.3f +- %.3f", likeness->neighbours,
                 1.96 * likeness->neighbours_error);
    }
    printf("%-10s %-18s %-16s %12llu %8.2f\n", name, cosine, neighbours, (unsigned long long)bytes,
           milliseconds);
}

static void show_result(const job *j)
{
    const sqz_model *const models[] = {j->teacher, j->student, sqz_trainer_model(j->trainer)};
    double ms[3];
    sqz_error error = {0};
    sqz_model *written;
    cli_check(sqz_model_open(cli_context(), cli_tuning.output_path, &written, &error), &error);
    const uint64_t bytes[] = {sqz_model_get_info(j->teacher)->file_bytes,
                              sqz_model_get_info(j->student)->file_bytes,
                              sqz_model_get_info(written)->file_bytes};
    sqz_model_close(written);
    cli_time_models(&j->watch, models, 3, ms);
    if (cli.json) {
        cli_json_open('{');
        cli_json_key_string("model", cli_tuning.output_path);
        cli_json_key_number("texts", j->n_learn);
        cli_json_key_number("held_out", j->watch.n_texts);
        cli_json_key_number("steps", j->result.step);
        cli_json_key_number("kept_step", j->result.kept_step);
        show_model_json("teacher", NULL, bytes[0], ms[0]);
        show_model_json("before", &j->before, bytes[1], ms[1]);
        show_model_json("after", &j->after, bytes[2], ms[2]);
        cli_json_close('}');
        return;
    }
    printf("wrote %s: %llu steps", cli_tuning.output_path, (unsigned long long)j->result.step);
    if (j->result.kept_step != j->result.step)
        printf(", that of step %llu is kept", (unsigned long long)j->result.kept_step);
    printf("\non %zu texts that were held out, with intervals of 95%%; a text alone takes ms:\n",
           j->watch.n_texts);
    printf("%-10s %-18s %-16s %12s %8s\n", "", "cosine", "neighbours", "bytes", "ms");
    show_model("teacher", NULL, bytes[0], ms[0]);
    show_model("before", &j->before, bytes[1], ms[1]);
    show_model("after", &j->after, bytes[2], ms[2]);
}

static void close_job(job *j)
{
    sqz_trainer_close(j->trainer);
    sqz_batches_close(j->batches);
    sqz_dataset_close(j->texts);
    sqz_model_close(j->student);
    sqz_model_close(j->teacher);
    if (j->watch.log) (void)fclose(j->watch.log);
    free(j->watch.texts);
    free(j->rows);
    free(j->layers);
}

static int run(char **arguments, uint32_t n)
{
    sqz_error error = {0};
    job j = {0};
    (void)arguments;
    (void)n;
    check_usage();
    cli_check(sqz_model_open(cli_context(), teacher_path, &j.teacher, &error), &error);
    cli_check(sqz_model_open(cli_context(), student_path, &j.student, &error), &error);
    open_texts(&j);
    hold_out(&j);
    tokenize(&j);
    open_batches(&j);
    open_log(&j);
    j.watch.teacher = j.teacher;
    if (!cli_tuning.dry_run) j.before = cli_distilling_compare(&j.watch, j.student);
    if (!cli_tuning.dry_run && cli.progress != 1)
        cli_say("before: cosine %.4f, neighbours %.3f on %zu texts held out", j.before.cosine,
                j.before.neighbours, j.watch.n_texts);
    train(&j);
    if (cli_tuning.dry_run) show_plan(&j);
    else {
        cli_check(sqz_trainer_write(j.trainer, cli_tuning.output_path, &error), &error);
        j.after = cli_distilling_compare(&j.watch, sqz_trainer_model(j.trainer));
        show_result(&j);
    }
    close_job(&j);
    return CLI_DONE;
}

static const cli_option *const tables[] = {what_options, recipe_options, run_options,
                                           cli_model_options, NULL};
const cli_verb cli_verb_distill = {
    "distill",
    "teach a smaller model what a larger one makes of texts",
    "",
    "The student, a float model file such as `squeeze` makes of its teacher, learns the teacher's "
    "hidden states, attention and vectors on texts without labels; everything else is as in "
    "finetune: AdamW, f32, checkpoints, bits that depend on neither threads nor stops. Prints how "
    "near the student was and is on texts that were held out.",
    "squeezebert squeeze minilm.gguf -o student.gguf --layers 0,2,3,5\n"
    "squeezebert distill --teacher minilm.gguf --student student.gguf -o healed.gguf "
    "--texts texts.txt",
    0,
    0,
    tables,
    run};
