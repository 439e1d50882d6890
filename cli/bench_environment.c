/* SPDX-License-Identifier: Apache-2.0 */
/* What a figure depends on besides the model: where this process may run, how much of it, and how
 * the clock of the CPU is set. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#include <string.h>

#include "bench.h"

/* The first line of a file, "unknown" where there is none. */
static void read_line(const char *path, char *text, size_t bytes)
{
    snprintf(text, bytes, "unknown");
    FILE *file = fopen(path, "r");
    if (!file) return;
    if (!fgets(text, (int)bytes, file)) snprintf(text, bytes, "unknown");
    text[strcspn(text, "\n")] = '\0';
    fclose(file);
}

/* "0-1,4" */
static void list_cpus(char *text, size_t bytes)
{
    snprintf(text, bytes, "unknown");
#ifdef __linux__
    cpu_set_t set;
    size_t used = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && used < bytes; cpu++) {
        if (!CPU_ISSET(cpu, &set)) continue;
        size_t last = cpu;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set)) last++;
        const int n = last > cpu
                          ? snprintf(text + used, bytes - used, "%s%zu-%zu", used ? "," : "", cpu,
                                     last)
                          : snprintf(text + used, bytes - used, "%s%zu", used ? "," : "", cpu);
        if (n > 0) used += (size_t)n;
        cpu = last;
    }
#endif
}

void bench_read_environment(bench_environment *environment)
{
    list_cpus(environment->affinity, sizeof environment->affinity);
    const double quota = sqz_cpu_quota();
    if (quota > 0) snprintf(environment->quota, sizeof environment->quota, "%.10g CPUs", quota);
    else snprintf(environment->quota, sizeof environment->quota, "none");
    read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", environment->governor,
              sizeof environment->governor);
}

const char *bench_fact(const sqz_context *context, const char *name)
{
    const size_t n = strlen(name);
    const char *fact;
    for (uint32_t i = 0; (fact = sqz_context_fact(context, i)); i++)
        if (strncmp(fact, name, n) == 0 && strncmp(fact + n, ": ", 2) == 0) return fact + n + 2;
    return "";
}
