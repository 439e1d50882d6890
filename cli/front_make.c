/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a front. Compared alone, each has a temporary name until it is open. Judged, or
 * healed, each is a compression (compress.h) in a folder of its own, which is kept until the front
 * is written: a run that was stopped finds there what it made. */
#define _DEFAULT_SOURCE /* mkdtemp */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front.h"
#include "signals.h"

enum { MOST_TEXTS = 200, PATH_BYTES = 4200 };

static char temporary[512], file[PATH_BYTES], point_folder[PATH_BYTES - 8];
static sqz_squeeze_result squeezed;
static sqz_compress_result compressed;
static sqz_compress_options options; /* of job->score */
static bool was_there;               /* its folder, before the run */

/* ---- compared alone ---- */

/* Also in a signal's handler. */
static void remove_made(void)
{
    if (file[0]) (void)unlink(file);
    if (temporary[0]) (void)rmdir(temporary);
    file[0] = temporary[0] = '\0';
}

static void make_temporary(void)
{
    const char *parent = getenv("TMPDIR");
    if (!parent || !*parent) parent = "/tmp";
    cli_at_end(remove_made);
    cli_at_signal(remove_made);
    const int n = snprintf(temporary, sizeof temporary, "%s/squeezebert.XXXXXX", parent);
    if (n < (int)sizeof temporary && mkdtemp(temporary)) {
        snprintf(file, sizeof file, "%s/front.gguf", temporary);
        return;
    }
    temporary[0] = '\0';
    cli_die(cli_code(sqz_status_of_errno(errno, 1)),
            "no folder for the files of --pareto can be made under %s: %s; TMPDIR names another "
            "place",
            parent, strerror(errno));
}

static void take_result(void *user, const sqz_squeeze_result *result)
{
    (void)user;
    squeezed = *result;
}

static cli_front_point point_of(uint64_t budget, uint64_t bytes)
{
    return (cli_front_point){.budget = budget,
                             .bytes = bytes,
                             .low = NAN,
                             .high = NAN,
                             .before = NAN,
                             .cosine = NAN,
                             .neighbours = NAN,
                             .classes = NAN,
                             .joules = NAN};
}

static sqz_status squeeze(const cli_front_job *job, cli_front *front, uint64_t budget,
                          cli_front_point *p, sqz_error *error)
{
    cli_front_point *whole = &front->points[0];
    sqz_squeeze_options o = *job->levers;
    o.budget = budget;
    o.part = NULL;
    o.result = take_result;
    const sqz_status status = sqz_squeeze(cli_context(), job->model, file, &o, error);
    if (status != SQZ_OK) return status;
    const bool classes = !isnan(squeezed.classes);
    *p = point_of(budget, squeezed.bytes_after);
    p->cosine = squeezed.cosine;
    p->neighbours = squeezed.neighbours;
    p->classes = squeezed.classes;
    p->score = classes ? p->classes : p->cosine;
    *whole = point_of(0, sqz_model_get_info(cli_model(job->model))->file_bytes);
    whole->score = whole->cosine = whole->neighbours = 1;
    if (classes) whole->classes = 1;
    front->score_name = classes ? "classes" : "cosine";
    front->n_held_out = squeezed.n_held_out;
    return SQZ_OK;
}

/* No file is so small, or none of it within the time (squeeze.h). */
static bool is_refused(sqz_status status, uint64_t budget, const sqz_error *error)
{
    return status == SQZ_EINVAL && error->offset > budget;
}

/* ---- judged ---- */

/* small.BYTES and what is named after it */
static bool is_point(const char *name)
{
    const size_t n = strlen(SQZ_COMPRESS_EACH);
    return strncmp(name, SQZ_COMPRESS_EACH, n) == 0 && name[n] >= '0' && name[n] <= '9';
}

static bool holds_points(const char *folder)
{
    bool found = false;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));)
        found = is_point(entry->d_name);
    if (dir) closedir(dir);
    return found;
}

/* What was measured of the model, which a cache of the user's has too. */
static bool is_measured(const char *name)
{
    return strncmp(name, "statistics-", 11) == 0 || strncmp(name, "times-", 6) == 0;
}

/* At the end all of it is removed, so a folder of other things, or of no point's, is none for it.
 */
static void refuse_others(const char *folder)
{
    const bool has_points = holds_points(folder);
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !is_point(entry->d_name) && !(has_points && is_measured(entry->d_name)))
            cli_die(CLI_USAGE,
                    "%s holds %s, which is no run's: --checkpoint names an empty folder, or a new "
                    "one",
                    folder, entry->d_name);
    if (dir) closedir(dir);
}

static void remove_measured(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (is_measured(entry->d_name)) (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
}

static void open_folder(const char *folder)
{
    const bool made = mkdir(folder, 0777) == 0;
    if (!made && errno != EEXIST)
        cli_die(cli_code(sqz_status_of_errno(errno, 1)), "%s: the folder cannot be made: %s",
                folder, strerror(errno));
    was_there = !made && !options.resume;
    refuse_others(folder);
    if (!options.resume && holds_points(folder))
        cli_die(CLI_USAGE,
                "%s holds a run that is not finished: --resume goes on with it; or remove the "
                "folder, or name another one by --checkpoint",
                folder);
    options.resume = 1; /* of each file: the folder is this run's */
}

static cli_front_point judged_point(const sqz_compress_score *s, uint64_t budget)
{
    cli_front_point p = point_of(budget, s->bytes);
    p.score = s->score;
    p.low = s->low;
    p.high = s->high;
    if (s->n_figures) return p;
    p.cosine = s->likeness.cosine;
    p.neighbours = s->likeness.neighbours;
    p.classes = s->likeness.classes;
    return p;
}

static sqz_status compress(const cli_front_job *job, cli_front *front, uint64_t budget,
                           uint32_t n_left, cli_front_point *p, sqz_error *error)
{
    sqz_compress_options o = options;
    const int n = snprintf(point_folder, sizeof point_folder, "%s/" SQZ_COMPRESS_EACH "%llu",
                           options.folder, (unsigned long long)budget);
    if (n >= (int)sizeof point_folder)
        cli_die(CLI_USAGE, "%.80s..: the name is too long", point_folder);
    snprintf(file, sizeof file, "%s.gguf", point_folder);
    o.levers.budget = budget;
    if (!o.levers.cache) o.levers.cache = options.folder;
    o.minutes = front->minutes > 0 ? front->minutes / n_left : -1;
    o.folder = point_folder;
    o.keep = 1;
    const sqz_status status = sqz_compress(cli_context(), job->model, file, &o, &compressed, error);
    if (status != SQZ_OK) return status;
    front->points[0] = judged_point(&compressed.base, 0);
    *p = judged_point(&compressed.after, budget);
    p->steps = compressed.steps;
    if (front->minutes > 0) {
        p->minutes = o.minutes;
        p->before = compressed.before.score;
    }
    front->score_name = compressed.name;
    front->n_held_out = (uint32_t)compressed.n_report;
    return SQZ_OK;
}

/* ---- both ---- */

void cli_front_begin(const cli_front_job *job, cli_front *front)
{
    front->held_out = "texts";
    if (!job->score) {
        make_temporary();
        return;
    }
    cli_score_open(job->score, &options);
    if (options.dataset) front->held_out = "rows";
    if (options.minutes > 0) front->minutes = options.minutes;
    open_folder(options.folder);
}

sqz_model *cli_front_make(const cli_front_job *job, cli_front *front, uint64_t budget,
                          uint32_t n_left, cli_front_point *p, sqz_error *error)
{
    sqz_model *model;
    const sqz_status status = job->score ? compress(job, front, budget, n_left, p, error)
                                         : squeeze(job, front, budget, p, error);
    if (is_refused(status, budget, error)) return NULL;
    if (status != SQZ_OK) cli_front_give_up(job);
    if (status == SQZ_ENUMERIC) cli_die(CLI_BAD_FILE, "%s", error->text);
    cli_check(status, error);
    cli_check(sqz_model_open(cli_context(), file, &model, error), error);
    (void)unlink(file); /* it stays readable as long as it is open */
    return model;
}

void cli_front_give_up(const cli_front_job *job)
{
    if (!job->score || holds_points(options.folder)) return;
    remove_measured(options.folder);
    if (!was_there) (void)rmdir(options.folder);
}

sqz_input *cli_front_inputs(const cli_front_job *job, uint32_t *n)
{
    size_t n_all = job->levers->n_texts;
    const sqz_dataset *rows = options.report ? options.report : options.dataset;
    const sqz_example *examples = rows ? sqz_dataset_examples(rows, &n_all) : NULL;
    *n = n_all < MOST_TEXTS ? (uint32_t)n_all : MOST_TEXTS;
    sqz_input *inputs = cli_allocate(NULL, *n * sizeof *inputs);
    for (uint32_t i = 0; i < *n; i++)
        inputs[i] = examples ? examples[i].input : (sqz_input){.text = job->levers->texts[i]};
    return inputs;
}

void cli_front_end(const cli_front_job *job)
{
    if (!job->score) {
        remove_made();
        return;
    }
    sqz_compress_remove(options.folder);
    cli_score_close();
}
