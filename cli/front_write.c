/* SPDX-License-Identifier: Apache-2.0 */
/* The front as a table of CSV. */
#include <math.h>

#include "front.h"
#include "output.h"

/* An empty cell, or the digits that give the same number back for whoever reads on. */
static void put_number(double value, const char *ending)
{
    if (isnan(value)) fputs(ending, cli_out());
    else fprintf(cli_out(), "%.9g%s", value, ending);
}

static void put_point(const cli_front *front, const cli_front_point *p)
{
    FILE *out = cli_out();
    if (p->budget) fprintf(out, "%llu,", (unsigned long long)p->budget);
    else fputs("whole,", out);
    fprintf(out, "%llu,", (unsigned long long)p->bytes);
    put_number(p->score, ",");
    fprintf(out, "%s,", front->score_name);
    put_number(p->low, ",");
    put_number(p->high, ",");
    put_number(p->before, ",");
    put_number(p->cosine, ",");
    put_number(p->neighbours, ",");
    put_number(p->classes, ",");
    put_number(p->ms, ",");
    fprintf(out, "%ux%u,%u,", front->batch, front->length, front->n_threads);
    put_number(p->cpu_seconds, ",");
    if (isnan(p->joules)) fputs("not available,", out);
    else put_number(p->joules, ",");
    put_number(p->minutes, ",");
    fprintf(out, "%llu,%s\n", (unsigned long long)p->steps, p->best ? "yes" : "no");
}

void cli_front_write(const cli_front *front)
{
    fputs("budget,bytes,score,score of,low,high,score before healing,cosine,neighbours,classes,ms,"
          "at,threads,core-seconds per 1000 texts,joules per 1000 texts,healed minutes,"
          "healed steps,on the front\n",
          cli_out());
    for (uint32_t i = 0; i < front->n; i++) put_point(front, &front->points[i]);
}
