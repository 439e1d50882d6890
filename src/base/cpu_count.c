/* SPDX-License-Identifier: Apache-2.0 */
/* How many CPUs this process may use: its affinity mask, and the quotas of its cgroup and of those
 * above it. */
#define _GNU_SOURCE
#include "base/cpu_count.h"

#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <squeezebert/context.h>

enum {
    PATH_BYTES = 4096,
    LINE_BYTES = 128 /* more than two numbers take */
};

/* The digits next in the text as a number; 0 where there are none. After 10^18 more digits are
 * passed over. */
static uint64_t take_number(const char **text)
{
    uint64_t n = 0;
    *text += strspn(*text, " \n");
    for (; **text >= '0' && **text <= '9'; ++*text)
        if (n < 1000000000000000000u) n = n * 10 + (uint64_t)(**text - '0');
    return n;
}

double sqzi_quota_cpus(const char *text)
{
    const uint64_t quota = take_number(&text), period = take_number(&text);
    return period ? (double)quota / (double)period : 0;
}

uint32_t sqzi_whole_cpus(double cpus)
{
    return cpus < UINT32_MAX ? (uint32_t)ceil(cpus) : UINT32_MAX;
}

/* The first line of the file "FOLDER/NAME", or false. */
static bool read_line(const char *folder, const char *name, char line[LINE_BYTES])
{
    char path[PATH_BYTES];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = n > 0 && n < PATH_BYTES ? fopen(path, "re") : NULL;
    if (!file) return false;
    const bool found = fgets(line, LINE_BYTES, file) != NULL;
    fclose(file);
    return found;
}

/* The quota of one folder, of either version; INFINITY where it has none. */
static double folder_cpus(const char *folder)
{
    char quota[LINE_BYTES], period[LINE_BYTES], both[2 * LINE_BYTES];
    double cpus = 0;
    if (read_line(folder, "cpu.max", quota)) {
        cpus = sqzi_quota_cpus(quota);
    } else if (read_line(folder, "cpu.cfs_quota_us", quota) &&
               read_line(folder, "cpu.cfs_period_us", period)) {
        snprintf(both, sizeof both, "%s %s", quota, period);
        cpus = sqzi_quota_cpus(both);
    }
    return cpus > 0 ? cpus : INFINITY;
}

/* The least quota of BASE/PATH and the folders above it, BASE among them. */
static double branch_cpus(const char *base, const char *path)
{
    char folder[PATH_BYTES];
    const size_t base_n = strlen(base);
    const int n = snprintf(folder, sizeof folder, "%s%s", base, path);
    double cpus = INFINITY;
    for (size_t end = n > 0 && n < PATH_BYTES ? (size_t)n : base_n; end >= base_n; end--) {
        if (end > base_n && folder[end] != '/' && folder[end] != '\0') continue;
        folder[end] = '\0';
        cpus = fmin(cpus, folder_cpus(folder));
    }
    return cpus;
}

/* `name` is one of the words of a comma-separated list of n characters. */
static bool lists(const char *list, size_t n, const char *name)
{
    const size_t name_n = strlen(name);
    for (size_t i = 0; i + name_n <= n; i++) {
        const bool begins = i == 0 || list[i - 1] == ',',
                   ends = i + name_n == n || list[i + name_n] == ',';
        if (begins && ends && memcmp(list + i, name, name_n) == 0) return true;
    }
    return false;
}

double sqzi_cgroup_cpus(const char *membership, const char *root)
{
    char line[PATH_BYTES], version1[PATH_BYTES];
    const int n = snprintf(version1, sizeof version1, "%s/cpu", root);
    if (n < 0 || n >= PATH_BYTES) return 0;
    double cpus = fmin(folder_cpus(root), folder_cpus(version1));
    FILE *file = fopen(membership, "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        const char *controllers = strchr(line, ':'),
                   *path = controllers ? strchr(++controllers, ':') : NULL;
        if (!path) continue;
        const size_t controllers_n = (size_t)(path++ - controllers);
        if (controllers_n == 0) cpus = fmin(cpus, branch_cpus(root, path));
        else if (lists(controllers, controllers_n, "cpu"))
            cpus = fmin(cpus, branch_cpus(version1, path));
    }
    if (file) fclose(file);
    return isfinite(cpus) ? cpus : 0;
}

static uint32_t affinity_cpus(void)
{
#ifdef __linux__
    /* 8192 CPUs, as many as a kernel can be built for; one set alone is refused where there are
     * more than 1024 */
    cpu_set_t sets[8];
    if (sched_getaffinity(0, sizeof sets, sets) == 0)
        return (uint32_t)CPU_COUNT_S(sizeof sets, sets);
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

double sqz_cpu_quota(void)
{
    return sqzi_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
}

uint32_t sqz_cpu_count(void)
{
    const uint32_t allowed = affinity_cpus(), quota = sqzi_whole_cpus(sqz_cpu_quota());
    return quota && quota < allowed ? quota : allowed;
}
