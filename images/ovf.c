/*
 * ovf.c - the OVF descriptor, read by libxml2: without network, without entities, without a DTD.
 *
 * Elements and attributes are looked up by their local names: producers disagree about prefixes and versions of the namespaces. An Item
 * of the hardware section is a list of properties (CIM_ResourceAllocationSettingData); which resource it is, a number says.
 */
#ifdef HAVE_OVA
#include "images/ova.h"
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CPUS = 1024, MAX_ADDRESS = 1 << 16, CONTROLLERS = 32 };

/* CIM_ResourceAllocationSettingData, ResourceType */
enum resource { RES_CPU = 3, RES_MEMORY = 4, RES_IDE = 5, RES_SCSI = 6, RES_ETHERNET = 10, RES_FLOPPY = 14, RES_CD = 15, RES_DVD = 16,
	RES_DISK = 17, RES_STORAGE = 20, RES_SERIAL = 21, RES_PARALLEL = 22, RES_USB = 23, RES_GRAPHICS = 24, RES_SOUND = 35 };

struct item {
	u32 type;
	char *name, *instance, *parent, *address, *quantity, *units, *host_resource, *subtype;
};

struct reader {
	struct ovf *o;
	const char *from;
	char *err;
	size_t errsize;
	struct { char *instance; u32 type; } controller[CONTROLLERS];
	u32 controllers;
};

bool ovf_plain_name(const char *name)
{
	size_t len = strlen(name);
	if (!len || len > 200 || *name == '.')
		return false;
	for (const char *p = name; *p; p++)
		if (*p == '/' || *p == '\\' || (unsigned char)*p < ' ' || *p == 127)
			return false;
	return true;
}

static bool fail(const struct reader *r, const char *what, const char *which)
{
	snprintf(r->err, r->errsize, "%s: %s%s%.100s%s", r->from, what, which ? " '" : "", which ? which : "", which ? "'" : "");
	return false;
}

/* Notes beyond the room for them are many of a kind. */
static void note(struct reader *r, const char *what, const char *which)
{
	char text[256];
	snprintf(text, sizeof(text), which && *which ? "%s ('%.100s')" : "%s", what, which);
	for (u32 i = 0; i < r->o->notes; i++)
		if (!strcmp(r->o->note[i], text))
			return;
	if (r->o->notes < OVF_MOST && (r->o->note[r->o->notes] = strdup(text)))
		r->o->notes++;
}

/* --- the tree --- */

static bool is(const xmlNode *n, const char *name) { return n->type == XML_ELEMENT_NODE && !strcmp((const char *)n->name, name); }

static const xmlNode *next_named(const xmlNode *n, const char *name)
{
	while (n && !is(n, name))
		n = n->next;
	return n;
}

static const xmlNode *child(const xmlNode *n, const char *name) { return next_named(n->children, name); }
#define each_child(c, parent, name) (const xmlNode *c = child(parent, name); c; c = next_named(c->next, name))

/* Copies of libxml2's strings, so that free() fits; NULL: not there. */
static char *own(xmlChar *s)
{
	char *copy = s ? strdup((const char *)s) : NULL;
	xmlFree(s);
	return copy;
}

static char *attribute(const xmlNode *n, const char *name)
{
	for (const xmlAttr *a = n->properties; a; a = a->next)
		if (!strcmp((const char *)a->name, name))
			return own(xmlNodeListGetString(n->doc, a->children, 1));
	return NULL;
}

static char *text_of(const xmlNode *n, const char *name)
{
	const xmlNode *c = child(n, name);
	char *s = c ? own(xmlNodeGetContent(c)) : NULL;
	if (!s)
		return NULL;
	char *start = s + strspn(s, " \t\r\n");
	size_t len = strlen(start);
	while (len && strchr(" \t\r\n", start[len - 1]))
		len--;
	memmove(s, start, len);
	s[len] = 0;
	return s;
}

static bool number(const char *s, u64 *out)
{
	char *end;
	errno = 0;
	unsigned long long v = s && *s >= '0' && *s <= '9' ? strtoull(s, &end, 10) : 0;
	if (!s || *s < '0' || *s > '9' || *end || errno)
		return false;
	*out = v;
	return true;
}

/* "byte * 2^20", "MegaBytes", "MB" (DSP0004, programmatic units); 0: unknown. */
static u64 unit_bytes(const char *units, u64 without)
{
	static const struct { const char *name; u64 bytes; } names[] = {
		{ "byte", 1 }, { "bytes", 1 }, { "KB", 1 << 10 }, { "KiloBytes", 1 << 10 }, { "MB", 1 << 20 }, { "MegaBytes", 1 << 20 },
		{ "GB", 1 << 30 }, { "GigaBytes", 1 << 30 }, { "TB", 1ull << 40 },
	};
	unsigned base, power;
	char end;
	if (!units || !*units)
		return without;
	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(units, names[i].name))
			return names[i].bytes;
	if (sscanf(units, "byte * %u ^ %u%c", &base, &power, &end) != 2 && sscanf(units, "byte*%u^%u%c", &base, &power, &end) != 2)
		return 0;
	u64 bytes = 1;
	for (; power && bytes < 1ull << 50; power--)
		bytes *= base;
	return power || (base != 2 && base != 10) ? 0 : bytes;
}

static bool scaled(const char *value, const char *units, u64 without, u64 *out)
{
	u64 unit = unit_bytes(units, without), v;
	return unit && number(value, &v) && !__builtin_mul_overflow(v, unit, out) && *out >> 62 == 0;
}

/* --- References and DiskSection --- */

static bool read_file(struct reader *r, const xmlNode *n)
{
	struct ovf *o = r->o;
	if (o->files == OVF_MOST)
		return fail(r, "refers to too many files", NULL);
	struct ovf_file *f = &o->file[o->files++];
	f->id = attribute(n, "id");
	f->name = attribute(n, "href");
	char *size = attribute(n, "size"), *chunk = attribute(n, "chunkSize"), *compression = attribute(n, "compression");
	bool chunked = chunk && *chunk, sized = !size || number(size, &f->size);
	f->gzip = compression && *compression && strcmp(compression, "identity");
	free(size);
	free(chunk);
	free(compression);
	if (!f->id || !f->name)
		return fail(r, "has a File without id or href", f->id);
	if (!ovf_plain_name(f->name))
		return fail(r, "refers to a file outside of its own folder:", f->name);
	if (chunked)
		return fail(r, "has a file in chunks, which is not supported:", f->name);
	return sized || fail(r, "says no number as the size of", f->name);
}

static int file_by_id(const struct ovf *o, const char *id)
{
	for (u32 i = 0; id && i < o->files; i++)
		if (!strcmp(o->file[i].id, id))
			return (int)i;
	return -1;
}

static bool read_disk(struct reader *r, const xmlNode *n)
{
	struct ovf *o = r->o;
	if (o->disks == OVF_MOST)
		return fail(r, "has too many disks", NULL);
	struct ovf_disk *d = &o->disk[o->disks++];
	d->id = attribute(n, "diskId");
	char *file = attribute(n, "fileRef"), *capacity = attribute(n, "capacity"), *units = attribute(n, "capacityAllocationUnits");
	char *parent = attribute(n, "parentRef");
	bool has_file = file != NULL;
	d->file = file_by_id(o, file);
	d->child = parent != NULL;
	/* "${name}" stands for a property that the user may set: the file says how large it is, then. */
	bool sized = (capacity && *capacity == '$' && has_file) || scaled(capacity, units, 1, &d->capacity);
	free(file);
	free(capacity);
	free(units);
	free(parent);
	if (!d->id)
		return fail(r, "has a Disk without diskId", NULL);
	if (has_file && d->file < 0)
		return fail(r, "has no File for the disk", d->id);
	return sized || fail(r, "says no capacity that is a size for the disk", d->id);
}

/* --- the hardware --- */

static void item_free(struct item *i)
{
	free(i->name);
	free(i->instance);
	free(i->parent);
	free(i->address);
	free(i->quantity);
	free(i->units);
	free(i->host_resource);
	free(i->subtype);
}

static struct item item_read(const xmlNode *n)
{
	struct item i = {
		.name = text_of(n, "ElementName"), .instance = text_of(n, "InstanceID"), .parent = text_of(n, "Parent"),
		.address = text_of(n, "AddressOnParent"), .quantity = text_of(n, "VirtualQuantity"), .units = text_of(n, "AllocationUnits"),
		.host_resource = text_of(n, "HostResource"), .subtype = text_of(n, "ResourceSubType"),
	};
	char *type = text_of(n, "ResourceType");
	u64 v;
	i.type = number(type, &v) && v < 0xffff ? (u32)v : 0;
	free(type);
	return i;
}

static void add_controller(struct reader *r, const struct item *i)
{
	if (r->controllers == CONTROLLERS || !i->instance)
		return;
	char *instance = strdup(i->instance);
	if (!instance)
		return;
	r->controller[r->controllers].instance = instance;
	r->controller[r->controllers++].type = i->type;
	if (i->type == RES_SCSI)
		note(r, "a SCSI controller: its disks become IDE disks", i->subtype);
	else if (i->type == RES_STORAGE)
		note(r, "a SATA controller: its disks become IDE disks", i->subtype);
}

/* "ovf:/disk/ID", "/disk/ID", "ovf:/file/ID" */
static bool find_medium(struct reader *r, const char *resource, struct ovf_drive *d)
{
	const char *path = strncmp(resource, "ovf:", 4) ? resource : resource + 4;
	if (!strncmp(path, "/file/", 6)) {
		d->file = file_by_id(r->o, path + 6);
		return d->file >= 0 || fail(r, "has a drive with a file that is not there:", resource);
	}
	for (u32 k = 0; !strncmp(path, "/disk/", 6) && k < r->o->disks; k++)
		if (!strcmp(r->o->disk[k].id, path + 6)) {
			d->disk = (int)k;
			return true;
		}
	return fail(r, "has a drive with a disk that is not there:", resource);
}

static bool add_drive(struct reader *r, const struct item *i, enum ovf_drive_kind kind)
{
	struct ovf *o = r->o;
	if (o->drives == OVF_MOST)
		return fail(r, "has too many drives", NULL);
	struct ovf_drive d = { .kind = kind, .disk = -1, .file = -1 };
	u64 address;
	while (d.controller < r->controllers && (!i->parent || strcmp(r->controller[d.controller].instance, i->parent)))
		d.controller++;
	d.address = number(i->address, &address) && address < MAX_ADDRESS ? (u32)address : 0;
	if (i->host_resource && *i->host_resource && !find_medium(r, i->host_resource, &d))
		return false;
	if (kind == OVF_HARD_DISK && d.disk < 0 && d.file < 0)
		return fail(r, "has a hard disk drive without a disk:", i->name);
	u32 at = o->drives++;
	for (; at && (o->drive[at - 1].controller > d.controller ||
		      (o->drive[at - 1].controller == d.controller && o->drive[at - 1].address > d.address)); at--)
		o->drive[at] = o->drive[at - 1];
	o->drive[at] = d;
	return true;
}

static bool is_controller(u32 type) { return type == RES_IDE || type == RES_SCSI || type == RES_STORAGE; }

static bool read_item(struct reader *r, const struct item *i)
{
	struct ovf *o = r->o;
	u64 v;
	switch (i->type) {
	case RES_CPU:
		if (!number(i->quantity, &v) || !v || v > MAX_CPUS)
			return fail(r, "says no number of processors:", i->quantity);
		o->cpus = (u32)v;
		return true;
	case RES_MEMORY:
		return scaled(i->quantity, i->units, 1 << 20, &o->memory) || fail(r, "says no size of the memory:", i->quantity);
	case RES_IDE: case RES_SCSI: case RES_STORAGE:
		return true;	/* add_controller() */
	case RES_ETHERNET:
		o->nics++;
		return true;
	case RES_FLOPPY:
		return add_drive(r, i, OVF_FLOPPY);
	case RES_CD: case RES_DVD:
		return add_drive(r, i, OVF_CDROM);
	case RES_DISK:
		return add_drive(r, i, OVF_HARD_DISK);
	case RES_SERIAL: case RES_PARALLEL: case RES_GRAPHICS: case 1:	/* the board has them; 1: the producer's own */
		return true;
	case RES_USB:
		note(r, "a USB controller: there is none here", i->subtype);
		return true;
	case RES_SOUND:
		note(r, "a sound card: there is none here yet", i->subtype);
		return true;
	default:
		note(r, "a device of an unknown kind", i->name);
		return true;
	}
}

static bool is_item(const xmlNode *n) { return is(n, "Item") || is(n, "StorageItem") || is(n, "EthernetPortItem"); }

/* Controllers first: drives may stand before them. */
static bool read_hardware(struct reader *r, const xmlNode *section)
{
	bool ok = true;
	for (int pass = 0; pass < 2; pass++)
		for (const xmlNode *n = section->children; n && ok; n = n->next) {
			if (!is_item(n))
				continue;
			struct item i = item_read(n);
			if (!pass && is_controller(i.type))
				add_controller(r, &i);
			else if (pass)
				ok = read_item(r, &i);
			item_free(&i);
		}
	for each_child(config, section, "Config") {
		char *key = attribute(config, "key"), *value = attribute(config, "value");
		r->o->efi |= key && value && !strcmp(key, "firmware") && !strcmp(value, "efi");
		free(key);
		free(value);
	}
	return ok;
}

static bool read_system(struct reader *r, const xmlNode *system)
{
	struct ovf *o = r->o;
	const xmlNode *os = child(system, "OperatingSystemSection"), *hardware = child(system, "VirtualHardwareSection");
	o->name = text_of(system, "Name");
	if (!o->name)
		o->name = attribute(system, "id");
	if (os)
		o->os = text_of(os, "Description");
	if (!hardware)
		return fail(r, "has a virtual system without hardware:", o->name);
	return read_hardware(r, hardware);
}

static bool read_envelope(struct reader *r, const xmlNode *root)
{
	if (!root || !is(root, "Envelope"))
		return fail(r, "is no OVF descriptor (there is no Envelope)", NULL);
	for each_child(references, root, "References")
		for each_child(file, references, "File")
			if (!read_file(r, file))
				return false;
	for each_child(section, root, "DiskSection")
		for each_child(disk, section, "Disk")
			if (!read_disk(r, disk))
				return false;
	const xmlNode *system = child(root, "VirtualSystem"), *many = child(root, "VirtualSystemCollection");
	if (!system && many && (system = child(many, "VirtualSystem")) && next_named(system->next, "VirtualSystem"))
		return fail(r, "describes several machines at once, which is not supported", NULL);
	if (!system)
		return fail(r, "describes no machine", NULL);
	return read_system(r, system);
}

static void silent(void *arg, xmlError *error) { }

struct ovf *ovf_parse(const char *xml, size_t len, const char *from, char *err, size_t errsize)
{
	xmlSetStructuredErrorFunc(NULL, silent);	/* this thread's: our sentence is all that is said */
	struct reader r = { .o = calloc(1, sizeof(*r.o)), .from = from, .err = err, .errsize = errsize };
	xmlParserCtxt *ctxt = xmlNewParserCtxt();
	bool ok = false;
	if (!r.o || !ctxt || len > 1u << 30) {
		fail(&r, "out of memory", NULL);
	} else {
		xmlDoc *doc = xmlCtxtReadMemory(ctxt, xml, (int)len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
		if (!doc)
			fail(&r, "is no well-formed XML", NULL);
		else if (doc->intSubset || doc->extSubset)
			fail(&r, "has a document type declaration (DTD), which no descriptor needs", NULL);
		else
			ok = read_envelope(&r, xmlDocGetRootElement(doc));
		xmlFreeDoc(doc);
	}
	if (ctxt)
		xmlFreeParserCtxt(ctxt);
	xmlSetStructuredErrorFunc(NULL, NULL);
	for (u32 i = 0; i < r.controllers; i++)
		free(r.controller[i].instance);
	if (ok)
		return r.o;
	ovf_free(r.o);
	return NULL;
}

void ovf_free(struct ovf *o)
{
	if (!o)
		return;
	free(o->name);
	free(o->os);
	for (u32 i = 0; i < o->files; i++) {
		free(o->file[i].id);
		free(o->file[i].name);
	}
	for (u32 i = 0; i < o->disks; i++)
		free(o->disk[i].id);
	for (u32 i = 0; i < o->notes; i++)
		free(o->note[i]);
	free(o);
}
#endif
