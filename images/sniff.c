/*
 * sniff.c - finds out what a file is. Sources: ISO 9660 6.7 and 8; El Torito 1.0; Linux Documentation/x86/boot.rst; Multiboot 0.6.96, 3.1.
 *
 * The order counts. A hybrid ISO has a boot sector, so ISO 9660 goes first. GRUB's core image, which lies in the first sectors of
 * the disks and floppies that it boots, has a Multiboot header, so a boot sector goes before that, unless the file is ELF.
 */
#include "images/sniff.h"
#include "images/format.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_BYTES   0x10000u
#define KIB(n)       ((n) * 1024ull)
#define FLOPPY_MAX   KIB(2880)
#define DISK_MIN     KIB(4096)		/* zeroes of at least so many are a blank disk */
#define CD_FIRST     0x8000u		/* volume descriptors: sector 16 of 2048 bytes */
#define CD_SECTOR    2048u
#define MULTIBOOT_MAGIC 0x1badb002u
#define MULTIBOOT_REACH 8192u

static const u64 floppy_sizes[] = {
	KIB(160), KIB(180), KIB(320), KIB(360), KIB(640), KIB(720), KIB(800), KIB(820), KIB(1200), KIB(1232), KIB(1440), KIB(1476),
	KIB(1600), KIB(1640), KIB(1680), KIB(1722), KIB(1743), KIB(2880),
};

static u32 get32(const u8 *p) { return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24; }

static bool has_signature(const u8 *head)
{
	return head[510] == 0x55 && head[511] == 0xaa;
}

/* Entries that no boot code would look like: flags 0 or 80h, and either nothing at all or a type, a start and a length. */
static bool has_partitions(const u8 *head)
{
	int used = 0;
	if (!has_signature(head))
		return false;
	for (const u8 *e = head + 446; e < head + 510; e += 16) {
		if (e[0] & 0x7f)
			return false;
		if (e[4] && get32(e + 12))
			used++;
		else if (e[4] || get32(e + 8) || get32(e + 12))
			return false;
	}
	return used > 0;
}

static bool is_gpt(const u8 *head) { return !memcmp(head + 512, "EFI PART", 8); }

static bool is_multiboot(const u8 *head)
{
	for (u32 i = 0; i + 12 <= MULTIBOOT_REACH; i += 4)
		if (get32(head + i) == MULTIBOOT_MAGIC && !(u32)(MULTIBOOT_MAGIC + get32(head + i + 4) + get32(head + i + 8)))
			return true;
	return false;
}

static bool is_zero(const u8 *p, size_t n)
{
	return !p[0] && !memcmp(p, p + 1, n - 1);
}

static bool is_floppy_size(u64 size)
{
	for (u32 i = 0; i < ARRAY_SIZE(floppy_sizes); i++)
		if (floppy_sizes[i] == size)
			return true;
	return false;
}

static bool is_disk_format(const u8 *head)
{
	return !memcmp(head, "QFI\xfb", 4) || !memcmp(head, "KDMV", 4) || !memcmp(head, "<<< ", 4) || !memcmp(head, "conectix", 8) ||
		!memcmp(head, "# Disk DescriptorFile", 21) || !memcmp(head, "Bochs Virtual HD Image", 23);
}

/* File systems that fill a whole disk and leave the boot sector alone. */
static bool is_filesystem(const u8 *head)
{
	return (head[1080] == 0x53 && head[1081] == 0xef) || !memcmp(head + 3, "NTFS", 4) || !memcmp(head, "XFSB", 4);
}

static bool is_cdrom(const u8 *head, struct image_look *look)
{
	bool found = false;
	for (u32 at = CD_FIRST; at + CD_SECTOR <= HEAD_BYTES; at += CD_SECTOR) {
		if (memcmp(head + at + 1, "CD001", 5))
			break;
		found = true;
		if (head[at] == 0 && !memcmp(head + at + 7, "EL TORITO SPECIFICATION", 23))
			look->bootable = true;
		if (head[at] == 0xff)
			break;
	}
	look->hybrid = found && (has_partitions(head) || is_gpt(head));
	return found;
}

static enum image_kind kind_of(const u8 *head, struct image_look *look)
{
	u64 size = look->size;
	bool signature = has_signature(head);
	if (is_cdrom(head, look))
		return IMAGE_CDROM;
	if (signature && !memcmp(head + 0x202, "HdrS", 4))
		return IMAGE_LINUX;
	if (!memcmp(head, "\x7f" "ELF", 4))
		return is_multiboot(head) ? IMAGE_MULTIBOOT : IMAGE_UNKNOWN;
	look->bootable = signature;
	if (is_floppy_size(size) && !is_gpt(head))
		return IMAGE_FLOPPY;
	if (has_partitions(head) || is_gpt(head) || is_disk_format(head))
		return IMAGE_DISK;
	if (signature)
		return size <= FLOPPY_MAX ? IMAGE_FLOPPY : IMAGE_DISK;
	if (is_multiboot(head))
		return IMAGE_MULTIBOOT;
	if (is_filesystem(head) || (size >= DISK_MIN && !(size & 511) && is_zero(head, HEAD_BYTES)))
		return IMAGE_DISK;
	return IMAGE_UNKNOWN;
}

static bool read_head(int fd, u8 *head)
{
	size_t done = 0;
	while (done < HEAD_BYTES) {
		ssize_t n = pread(fd, head + done, HEAD_BYTES - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (!n)
			break;
		done += (size_t)n;
	}
	return true;
}

static enum image_kind sniff_file(const char *path, int fd, struct image_look *look, char *err, size_t errsize)
{
	u8 head[HEAD_BYTES] = { 0 };
	struct stat st;
	if (fstat(fd, &st))
		snprintf(err, errsize, "%s: %s", path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		snprintf(err, errsize, "%s: is a directory", path);
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		snprintf(err, errsize, "%s: is neither a file nor a block device", path);
	else if (!(look->size = image_file_size(fd)))
		snprintf(err, errsize, "%s: is empty", path);
	else if (!read_head(fd, head))
		snprintf(err, errsize, "%s: cannot be read: %s", path, strerror(errno));
	else
		return kind_of(head, look);
	return IMAGE_ERROR;
}

enum image_kind image_sniff(const char *path, struct image_look *look, char *err, size_t errsize)
{
	struct image_look own;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	look = look ? look : &own;
	*look = (struct image_look){ 0 };
	if (fd < 0) {
		snprintf(err, errsize, "%s: cannot be opened: %s", path, strerror(errno));
		return IMAGE_ERROR;
	}
	enum image_kind kind = sniff_file(path, fd, look, err, errsize);
	close(fd);
	return kind;
}

const char *image_kind_name(enum image_kind kind)
{
	switch (kind) {
	case IMAGE_ERROR: case IMAGE_UNKNOWN: break;
	case IMAGE_FLOPPY: return "floppy image";
	case IMAGE_CDROM: return "CD image";
	case IMAGE_DISK: return "disk image";
	case IMAGE_LINUX: return "Linux kernel";
	case IMAGE_MULTIBOOT: return "Multiboot kernel";
	}
	return "unknown kind of file";
}
