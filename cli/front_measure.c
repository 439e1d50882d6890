/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a front cost to run: milliseconds of a batch, processor time and energy of
 * texts. */
#define _DEFAULT_SOURCE
#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "front.h"

enum { SAMPLES = 15, PASS_MS = 300, MOST_PASSES = 64 };

static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- energy: the counters of the processors' packages, in microjoules ---- */

static double read_counter(const char *folder, const char *name)
{
    char path[512];
    unsigned long long value;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    const bool read = file && fscanf(file, "%llu", &value) == 1;
    if (file) (void)fclose(file);
    return read ? (double)value : NAN;
}

enum { PACKAGES = 64 };

/* Of each package; n 0: there is none. */
typedef struct energy {
    double counter[PACKAGES], range[PACKAGES];
    uint32_t n;
} energy;

/* "package-0", "package-0-die-1". Its parts are in other zones, and so is the whole platform, psys,
 * which counts packages once more. */
static bool is_package(const char *folder)
{
    char path[512], name[16] = "";
    snprintf(path, sizeof path, "%s/name", folder);
    FILE *file = fopen(path, "re");
    const bool read = file && fgets(name, sizeof name, file);
    if (file) (void)fclose(file);
    return read && strncmp(name, "package-", strlen("package-")) == 0;
}

/* SQUEEZEBERT_POWERCAP names the folder where it is mounted elsewhere. */
static energy read_energy(void)
{
    energy e = {.n = 0};
    char pattern[512];
    glob_t found;
    const char *folder = getenv("SQUEEZEBERT_POWERCAP");
    snprintf(pattern, sizeof pattern, "%s/intel-rapl:[0-9]*",
             folder && *folder ? folder : "/sys/class/powercap");
    if (glob(pattern, 0, NULL, &found) != 0) return e;
    for (size_t i = 0; i < found.gl_pathc && e.n < PACKAGES; i++) {
        if (!is_package(found.gl_pathv[i])) continue;
        e.counter[e.n] = read_counter(found.gl_pathv[i], "energy_uj");
        e.range[e.n++] = read_counter(found.gl_pathv[i], "max_energy_range_uj");
    }
    globfree(&found);
    return e;
}

/* Counters begin anew behind their range, after some minutes at the least: once between two
 * readings. NAN where one cannot be read. */
static double joules_between(const energy *from, const energy *to)
{
    double sum = 0;
    if (!from->n || from->n != to->n) return NAN;
    for (uint32_t i = 0; i < from->n; i++) {
        const double d = to->counter[i] - from->counter[i];
        sum += d < 0 ? d + from->range[i] : d;
    }
    return sum / 1e6;
}

/* ---- texts ---- */

static void answer(const sqz_model *model, sqz_task *task, const sqz_input *inputs, uint32_t n,
                   void *results)
{
    sqz_error error = {0};
    const bool classifies = sqz_model_get_info(model)->head == SQZ_HEAD_SEQUENCE;
    cli_check(classifies ? sqz_classify(task, inputs, n, 0, results, &error)
                         : sqz_embed_texts(task, inputs, n, NULL, results, &error),
              &error);
}

/* The first pass is not counted; the others until they took long enough to be told apart. */
static void measure_texts(cli_front_point *p, const sqz_model *model, const sqz_input *inputs,
                          uint32_t n, void *results)
{
    sqz_error error = {0};
    sqz_task *task;
    uint32_t passes = 0;
    cli_check(sqz_task_open(model, NULL, &task, &error), &error);
    answer(model, task, inputs, n, results);
    const energy before = read_energy();
    const double cpu = cpu_seconds(), begin = bench_now_ms();
    do answer(model, task, inputs, n, results);
    while (++passes < MOST_PASSES && bench_now_ms() - begin < PASS_MS);
    const double thousands = (double)passes * n / 1000;
    const energy after = read_energy();
    p->cpu_seconds = (cpu_seconds() - cpu) / thousands;
    p->joules = joules_between(&before, &after) / thousands;
    sqz_task_close(task);
}

/* ---- all ---- */

static void find_best(cli_front *front)
{
    for (uint32_t i = 0; i < front->n; i++) {
        cli_front_point *p = &front->points[i];
        p->best = true;
        for (uint32_t k = 0; k < front->n && p->best; k++) {
            const cli_front_point *q = &front->points[k];
            p->best = !(q->score >= p->score && q->bytes <= p->bytes && q->ms <= p->ms &&
                        (q->score > p->score || q->bytes < p->bytes || q->ms < p->ms));
        }
    }
}

void cli_front_measure(cli_front *front, sqz_model *const *models, const sqz_input *inputs,
                       uint32_t n)
{
    double ms[CLI_FRONT_POINTS];
    const size_t of_class = sizeof(sqz_classification), of_vector = sizeof(sqz_embedding);
    void *results = cli_allocate(NULL, n * (of_class > of_vector ? of_class : of_vector));
    bench_in_turn(models, front->n, front->batch, front->length, SAMPLES, ms);
    for (uint32_t i = 0; i < front->n; i++) {
        front->points[i].ms = ms[i];
        measure_texts(&front->points[i], models[i], inputs, n, results);
    }
    find_best(front);
    free(results);
}
