/*
 * test_acpi.c - the tables are found, linked and summed up, with and without firmware, and iasl (when installed) takes the DSDT apart and
 * puts it together again without an error. Source: ACPI 1.0b, 5.2.
 */
/* objs: devices/board_acpi.o devices/acpi_dsdt.o devices/aml.o devices/board_smbios.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/board_acpi.h"
#include "devices/aml.h"
#include "devices/emulated/fw_cfg.h"
#include "devices/board_smbios.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE 0xf0000u
#define TABLE_HEADER 36
static u8 rom[ACPI_ROM_BYTES];
static const struct acpi_options all = {
	.ram_size = 512u << 20, .apic = true, .uarts = 15, .parallel = true, .floppy = true, .hpet = true,
};

/* What was published */
static struct { char name[FW_CFG_NAME_MAX]; u8 data[ACPI_ROM_BYTES]; u32 len; } file[8];
static u32 files;

void fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, u32 len)
{
	assert_true(files < ARRAY_SIZE(file) && len <= sizeof(file[0].data) && strlen(name) < FW_CFG_NAME_MAX);
	strcpy(file[files].name, name);
	memcpy(file[files].data, data, len);
	file[files++].len = len;
}

static u32 find_file(const char *name)
{
	for (u32 i = 0; i < files; i++)
		if (!strcmp(file[i].name, name))
			return i;
	fail_msg("no file %s", name);
	return 0;
}

static u32 get32(const u8 *p)
{
	u32 v;
	memcpy(&v, p, 4);
	return v;
}

static u8 sum(const u8 *p, u32 len)
{
	u8 total = 0;
	while (len--)
		total += *p++;
	return total;
}

/* The table that the RSDT names n-th, or that the FADT points to. */
static const u8 *table_at(u32 address)
{
	assert_in_range(address, BASE, BASE + ACPI_ROM_BYTES - TABLE_HEADER);
	const u8 *t = rom + (address - BASE);
	assert_in_range(get32(t + 4), TABLE_HEADER, ACPI_ROM_BYTES - (address - BASE));
	return t;
}

static const u8 *find_table(const char *signature)
{
	const u8 *rsdt = table_at(get32(rom + 16));
	for (u32 at = TABLE_HEADER; at < get32(rsdt + 4); at += 4)
		if (!memcmp(table_at(get32(rsdt + at)), signature, 4))
			return table_at(get32(rsdt + at));
	return NULL;
}

static void test_place(void **state)
{
	static const char *const names[] = { "FACP", "APIC", "HPET" };
	acpi_place(rom, BASE, &all);
	assert_memory_equal(rom, "RSD PTR ", 8);
	assert_int_equal(sum(rom, 20), 0);
	const u8 *rsdt = table_at(get32(rom + 16));
	assert_memory_equal(rsdt, "RSDT", 4);
	assert_int_equal(sum(rsdt, get32(rsdt + 4)), 0);
	for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
		const u8 *t = find_table(names[i]);
		assert_non_null(t);
		assert_int_equal(sum(t, get32(t + 4)), 0);
	}
	const u8 *fadt = find_table("FACP");
	assert_memory_equal(rom + (get32(fadt + 36) - BASE), "FACS", 4);
	assert_int_equal(get32(fadt + 36) % 64, 0);
	assert_memory_equal(table_at(get32(fadt + 40)), "DSDT", 4);
	assert_int_equal(sum(table_at(get32(fadt + 40)), get32(table_at(get32(fadt + 40)) + 4)), 0);
	struct acpi_options plain = { .ram_size = 64u << 20 };
	acpi_place(rom, BASE, &plain);
	assert_null(find_table("APIC"));
	assert_null(find_table("HPET"));
}

/* Entries of the MADT add up to its length, and tell of one processor and one I/O APIC. */
static void test_madt(void **state)
{
	u32 seen[256] = { 0 }, at;
	acpi_place(rom, BASE, &all);
	const u8 *m = find_table("APIC");
	for (at = TABLE_HEADER + 8; at < get32(m + 4); at += m[at + 1]) {
		assert_true(m[at + 1] >= 2);
		seen[m[at]]++;
	}
	assert_int_equal(at, get32(m + 4));
	assert_int_equal(seen[0], 1);
	assert_int_equal(seen[1], 1);
	assert_int_equal(seen[2], 5);
	assert_int_equal(seen[4], 1);
}

/* Carries the loader's commands out, as firmware does, and comes to the same as acpi_place(). */
static void test_publish(void **state)
{
	static u8 want[ACPI_ROM_BYTES];
	files = 0;
	acpi_publish(NULL, &all);
	u32 script = find_file("etc/table-loader"), tables = find_file("etc/acpi/tables"), rsdp = find_file("etc/acpi/rsdp");
	assert_int_equal(file[script].len % 128, 0);
	for (u32 at = 0; at < file[script].len; at += 128) {
		const u8 *c = file[script].data + at, *arg = c + 4 + FW_CFG_NAME_MAX;
		u32 to = find_file((const char *)c + 4), value;
		switch (get32(c)) {
		case 1:
			assert_true(get32(arg) == 16 || get32(arg) == 64);
			break;
		case 2:
			assert_int_equal(find_file((const char *)arg), tables);
			arg += FW_CFG_NAME_MAX;
			assert_int_equal(arg[4], 4);
			assert_true(get32(arg) + 4 <= file[to].len);
			value = get32(file[to].data + get32(arg)) + BASE + 64;
			memcpy(file[to].data + get32(arg), &value, 4);
			break;
		case 3:
			assert_true(get32(arg + 4) + get32(arg + 8) <= file[to].len);
			file[to].data[get32(arg)] = (u8)-sum(file[to].data + get32(arg + 4), get32(arg + 8));
			break;
		default:
			fail_msg("command %u", get32(c));
		}
	}
	acpi_place(want, BASE, &all);
	assert_memory_equal(file[rsdp].data, want, file[rsdp].len);
	assert_memory_equal(file[tables].data, want + 64, file[tables].len);
}

/* Package lengths at the borders of their encodings (16.2.4). */
static void test_package_length(void **state)
{
	static const struct { u32 body; u8 lead[3]; u32 bytes; } cases[] = {
		{ 0, { 0x01 }, 1 }, { 62, { 0x3f }, 1 }, { 63, { 0x41, 0x04 }, 2 }, { 0xffd, { 0x4f, 0xff }, 2 }, { 0xffe, { 0x81, 0x00, 0x01 }, 3 },
	};
	static struct aml a;
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		a.len = 0;
		u32 at = aml_open(&a, AML_SCOPE);
		for (u32 n = 0; n < cases[i].body; n++)
			aml_byte(&a, 0xa3);
		aml_close(&a, at);
		assert_int_equal(a.len, 1 + cases[i].bytes + cases[i].body);
		assert_memory_equal(a.bytes + 1, cases[i].lead, cases[i].bytes);
	}
	a.len = 0;
	aml_hid(&a, "PNP0A03");
	assert_memory_equal(a.bytes, "\x08_HID\x0c\x41\xd0\x0a\x03", 10);
}

static void check_dsdt(const struct acpi_options *opt)
{
	char dir[] = "/tmp/rf-acpi-XXXXXX", command[400];
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command), "%s/dsdt.aml", dir);
	FILE *f = fopen(command, "wb");
	assert_non_null(f);
	acpi_place(rom, BASE, opt);
	const u8 *dsdt = table_at(get32(find_table("FACP") + 40));
	assert_int_equal(fwrite(dsdt, 1, get32(dsdt + 4), f), get32(dsdt + 4));
	fclose(f);
	snprintf(command, sizeof(command), "cd %s && { command -v iasl >/dev/null || exit 0; iasl -d dsdt.aml && iasl dsdt.dsl; } >log 2>&1 && "
		 "! grep -E '^(Error|Warning)' log | grep -v 'Legacy Processor' || { cat log; exit 1; }", dir);
	int failed = system(command);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(failed, 0);
}

static void test_iasl(void **state)
{
	struct acpi_options plain = { .ram_size = 3584ull << 20 };
	check_dsdt(&all);
	check_dsdt(&plain);
}

/* Each structure ends with two zeroes, the anchor counts them, the last is type 127 (DSP0134, 5.2.1 and 6.1). */
static void test_smbios(void **state)
{
	files = 0;
	smbios_publish(NULL, "name", 0x6fb, 512u << 20);
	u32 tables = find_file("etc/smbios/smbios-tables"), anchor = find_file("etc/smbios/smbios-anchor"), n = 0;
	const u8 *p = file[tables].data, *end = p + file[tables].len;
	u8 type = 0;
	while (p < end) {
		type = p[0];
		p += p[1];
		while (p + 2 <= end && (p[0] || p[1]))
			p++;
		p += 2;
		n++;
	}
	assert_true(p == end);
	assert_int_equal(type, 127);
	assert_memory_equal(file[anchor].data, "_SM_", 4);
	assert_int_equal(file[anchor].data[28], n);
	assert_int_equal(file[anchor].data[22] | file[anchor].data[23] << 8, file[tables].len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place), cmocka_unit_test(test_madt), cmocka_unit_test(test_publish),
		cmocka_unit_test(test_package_length), cmocka_unit_test(test_iasl), cmocka_unit_test(test_smbios),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
