/* SPDX-License-Identifier: Apache-2.0 */
/* The default number of threads: the affinity mask, and the quotas of cgroups as the kernel writes
 * them, in folders of the test's own. */
#define _GNU_SOURCE
#include "base/cpu_count.h"

#include <sched.h>
#include <squeezebert/context.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "support/test.h"
#include "support/tiny_model.h"

static void a_quota_is_a_quotient_and_is_rounded_up(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double quota;
        uint32_t cpus;
    } cases[] = {
        {"100000 100000\n", 1, 1},
        {"150000 100000\n", 1.5, 2},
        {"200000 100000\n", 2, 2},
        /* the two lines of version 1 */
        {"200001 100000", 2.00001, 3},
        {"1000 1000000", 0.001, 1},
        {"150000\n 100000\n", 1.5, 2},
        {"4294967295 1", 4294967295.0, UINT32_MAX},
        {"18446744073709551616 1", 1844674407370955161.0, UINT32_MAX},
        {"99999999999999999999999999999999 1", 1e19, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double quota = sqzi_quota_cpus(cases[i].text);
        if (quota != cases[i].quota || sqzi_whole_cpus(quota) != cases[i].cpus)
            fail_msg("'%s' is taken for %.17g CPUs, %u threads", cases[i].text, quota,
                     sqzi_whole_cpus(quota));
    }
    assert_int_equal(sqzi_whole_cpus(0), 0);
}

static void what_is_no_quota_limits_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"max 100000\n",
                                        "-1\n 100000\n",
                                        "max",
                                        "",
                                        "\n",
                                        "0 100000",
                                        "150000 0",
                                        "150000",
                                        "150000 max",
                                        "150000x 100000",
                                        "1.5 1",
                                        "0x10 8",
                                        "quota 150000 100000"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (sqzi_quota_cpus(texts[i]) != 0)
            fail_msg("'%s' is taken for a quota of %g CPUs", texts[i], sqzi_quota_cpus(texts[i]));
}

/* A tree of cgroups: its root, and the file that says where the process is. */
typedef struct tree {
    char root[256], membership[300];
} tree;

/* Write a file of the tree and the folders that lead to it. */
static void put(const tree *t, const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", t->root, name);
    for (char *slash = path + strlen(t->root); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* may be there */
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static tree new_tree(const char *membership)
{
    static int n;
    char name[16];
    tree t;
    snprintf(name, sizeof name, "tree%d", n++);
    snprintf(t.root, sizeof t.root, "%s", sqzt_temporary(name));
    snprintf(t.membership, sizeof t.membership, "%s/membership", t.root);
    if (membership) put(&t, "membership", membership);
    return t;
}

static uint32_t cpus(const tree *t)
{
    return sqzi_whole_cpus(sqzi_cgroup_cpus(t->membership, t->root));
}

static void without_cgroups_there_is_no_quota(void **state)
{
    (void)state;
    assert_true(sqzi_cgroup_cpus("/nonexistent/cgroup", "/nonexistent") == 0);
    const tree empty = new_tree(""),
               lost = new_tree("0::/somewhere/else\n4:cpu,cpuacct:/somewhere/else\n");
    assert_int_equal(cpus(&empty), 0);
    assert_int_equal(cpus(&lost), 0);
}

static void version_2_is_read_at_the_root_and_at_the_process(void **state)
{
    (void)state;
    const tree alone = new_tree(NULL), container = new_tree("0::/\n"),
               service = new_tree("0::/system.slice/a.service\n");
    put(&alone, "cpu.max", "300000 100000\n");
    assert_int_equal(cpus(&alone), 3);
    put(&container, "cpu.max", "max 100000\n");
    assert_int_equal(cpus(&container), 0);
    put(&container, "cpu.max", "150000 100000\n");
    assert_int_equal(cpus(&container), 2);
    put(&service, "system.slice/a.service/cpu.max", "250000 100000\n");
    assert_int_equal(cpus(&service), 3);
}

static void a_cgroup_is_held_to_those_above_it(void **state)
{
    (void)state;
    const tree t = new_tree("0::/a/b/c\n");
    put(&t, "a/b/c/cpu.max", "400000 100000\n");
    assert_int_equal(cpus(&t), 4);
    put(&t, "a/cpu.max", "200000 100000\n");
    assert_int_equal(cpus(&t), 2);
    put(&t, "a/cpu.max", "175000 100000\n");
    assert_true(sqzi_cgroup_cpus(t.membership, t.root) == 1.75); /* as it stands */
    put(&t, "a/b/cpu.max", "max 100000\n");
    assert_int_equal(cpus(&t), 2);
    put(&t, "a/b/c/d/cpu.max", "100000 100000\n"); /* not the process's */
    put(&t, "a/bb/cpu.max", "100000 100000\n");
    assert_int_equal(cpus(&t), 2);
    put(&t, "a/b/c/cpu.max", "garbage\n");
    assert_int_equal(cpus(&t), 2);
}

static void version_1_has_its_folder_and_two_files(void **state)
{
    (void)state;
    const tree t = new_tree(
        "7:cpuset:/other\n6:vcpu:/other\n4:cpuacct,cpu:/docker/x\n3:cpuacct:/third\n0::/\n");
    put(&t, "cpu/docker/x/cpu.cfs_quota_us", "150000\n");
    assert_int_equal(cpus(&t), 0); /* half of it */
    put(&t, "cpu/docker/x/cpu.cfs_period_us", "50000\n");
    assert_int_equal(cpus(&t), 3);
    put(&t, "cpu/docker/x/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(cpus(&t), 0);
    put(&t, "cpu/other/cpu.cfs_quota_us", "50000\n"); /* folders of other controllers */
    put(&t, "cpu/other/cpu.cfs_period_us", "50000\n");
    put(&t, "cpu/third/cpu.cfs_quota_us", "50000\n");
    put(&t, "cpu/third/cpu.cfs_period_us", "50000\n");
    assert_int_equal(cpus(&t), 0);
    put(&t, "cpu/cpu.cfs_quota_us", "100000\n"); /* a container's own, where its folder is not */
    put(&t, "cpu/cpu.cfs_period_us", "50000\n");
    assert_int_equal(cpus(&t), 2);
}

/* Paths that fill the buffer, lines without their parts. */
static void odd_memberships_are_passed_over(void **state)
{
    (void)state;
    char *line = malloc(20000);
    assert_non_null(line);
    for (size_t n = 3900; n <= 4200; n++) {
        memcpy(line, "0::/", 4);
        memset(line + 4, 'a', n);
        memcpy(line + 4 + n, "\n", 2);
        const tree t = new_tree(line);
        put(&t, "cpu.max", "200000 100000\n");
        assert_int_equal(cpus(&t), 2);
    }
    memset(line, '/', 19999);
    line[19999] = '\0';
    const tree slashes = new_tree(line),
               parts = new_tree("0\n0:\n0::\n:\n::\n\ncpu:cpu:cpu\n4:cpu\n0::a\n");
    free(line);
    put(&slashes, "cpu.max", "200000 100000\n");
    put(&parts, "cpu.max", "200000 100000\n");
    assert_int_equal(cpus(&slashes), 2);
    assert_int_equal(cpus(&parts), 2);
}

static uint32_t default_threads(void)
{
    sqz_error error = {0};
    sqz_context *context;
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    const uint32_t n = sqz_context_threads(context);
    sqz_context_close(context);
    return n;
}

/* With the first i CPUs of the mask the count is i, or the quota where that is less; a context has
 * as many threads. */
static void the_affinity_mask_is_honoured(void **state)
{
    (void)state;
    cpu_set_t all, some;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    const uint32_t quota = sqzi_whole_cpus(sqzi_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup"));
    assert_true(sqz_cpu_quota() == sqzi_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup"));
    uint32_t i = 0;
    CPU_ZERO(&some);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && i < 8; cpu++) {
        if (!CPU_ISSET(cpu, &all)) continue;
        CPU_SET(cpu, &some);
        i++;
        assert_int_equal(sched_setaffinity(0, sizeof some, &some), 0);
        const uint32_t expected = quota && quota < i ? quota : i;
        assert_int_equal(sqz_cpu_count(), expected);
        assert_int_equal(default_threads(), expected);
    }
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_quota_is_a_quotient_and_is_rounded_up),
                                       cmocka_unit_test(what_is_no_quota_limits_nothing),
                                       cmocka_unit_test(without_cgroups_there_is_no_quota),
                                       cmocka_unit_test(
                                           version_2_is_read_at_the_root_and_at_the_process),
                                       cmocka_unit_test(a_cgroup_is_held_to_those_above_it),
                                       cmocka_unit_test(version_1_has_its_folder_and_two_files),
                                       cmocka_unit_test(odd_memberships_are_passed_over),
                                       cmocka_unit_test(the_affinity_mask_is_honoured)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
