/*
 * pack.c
 *	  Makes, finds and maps packs. See pack.h.
 */
#include "port.h"
#include "cache.h"
#include "model_files.h"
#include "pack.h"
#include "packing.h"
#include "settings.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRECISION  "fp32"
#define MAGIC      "bertpack"
#define DATA_START 32768         /* of the data; the header lies before it */
#define CHUNK      (1024 * 1024) /* between two looks at interrupts */

/* The first bytes of a pack. Written last, so an unfinished pack has none. */
typedef struct PackHeader
{
	char magic[8];
	uint32 version;
	uint32 byte_order;  /* 0x01020304 */
	uint32 header_size; /* of this struct, as compiled */
	uint32 panel;
	uint64 file_nbytes;
	uint64 tokenizer_offset;
	uint64 tokenizer_nbytes;
	uint64 weights_offset;
	uint64 weights_nbytes;
	BertConfig config;
	BertRecipe recipe;
	pg_crc32c data_crc;   /* of everything from DATA_START on */
	pg_crc32c header_crc; /* of everything before this */
} PackHeader;

StaticAssertDecl(sizeof(PackHeader) <= DATA_START, "the header must fit");

/* ---- the model directory ---- */

const char *
bert_model_directory_path(void)
{
	static char path[MAXPGPATH];

	if (bert_model_directory_setting[0] != '\0')
		return bert_model_directory_setting;
	if (path[0] == '\0') /* asked for every row */
	{
		get_share_path(my_exec_path, path);
		strlcat(path, "/bert", sizeof(path));
	}
	return path;
}

static int
open_root(void)
{
	const char *path = bert_model_directory_path();
	int fd = OpenTransientFile(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool missing = fd < 0 && errno == ENOENT;

	if (fd >= 0)
		return fd;
	ereport(ERROR,
			missing ? errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
					: errcode_for_file_access(),
			errmsg("could not open the model directory: %m"),
			errdetail_log("The directory is \"%s\".", path),
			errhint("Put models, each a directory as Hugging Face ships it, below a "
					"directory that the server can read, and let the setting "
					"\"bert.model_directory\" name it."));
}

char *
bert_pack_state(const char *model)
{
	int root = open_root();
	char *state = bert_model_files_signature(root, model);

	CloseTransientFile(root);
	return state;
}

char **
bert_pack_models(int *n)
{
	int root = open_root();
	char **names = bert_model_files_list(root, n);

	CloseTransientFile(root);
	return names;
}

/* ---- checking and mapping ---- */

static pg_crc32c
header_crc(const PackHeader *header)
{
	pg_crc32c crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, header, offsetof(PackHeader, header_crc));
	FIN_CRC32C(crc);
	return crc;
}

static bool
header_is_good(const PackHeader *header, int64 file_nbytes)
{
	return memcmp(header->magic, MAGIC, sizeof(header->magic)) == 0 &&
		   header->version == BERT_PACK_VERSION && header->byte_order == 0x01020304 &&
		   header->header_size == sizeof(PackHeader) && header->panel == BERT_PANEL &&
		   header->file_nbytes == (uint64) file_nbytes &&
		   header->header_crc == header_crc(header);
}

static bool
data_is_good(const PackHeader *header, const char *map)
{
	pg_crc32c crc;

	INIT_CRC32C(crc);
	for (uint64 at = DATA_START; at < header->file_nbytes; at += CHUNK)
	{
		CHECK_FOR_INTERRUPTS();
		COMP_CRC32C(crc, map + at, Min(CHUNK, header->file_nbytes - at));
	}
	FIN_CRC32C(crc);
	return crc == header->data_crc;
}

void
bert_pack_close(BertPack *pack)
{
	if (pack->map != NULL)
		munmap(pack->map, pack->map_nbytes);
	memset(pack, 0, sizeof(*pack));
}

/* Map an open file into *pack; false if its header is not that of a whole pack. */
static bool
map_pack(BertPack *pack, int fd, const struct stat *st)
{
	PackHeader header;

	memset(pack, 0, sizeof(*pack));
	if (st->st_size < DATA_START ||
		pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
		!header_is_good(&header, st->st_size))
		return false;
	pack->map_nbytes = st->st_size;
	pack->map = mmap(NULL, pack->map_nbytes, PROT_READ, MAP_SHARED, fd, 0);
	if (pack->map == MAP_FAILED)
	{
		pack->map = NULL;
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("could not map the weights of a model: %m"));
	}
	pack->config = header.config;
	pack->recipe = header.recipe;
	pack->tokenizer = (char *) pack->map + header.tokenizer_offset;
	pack->tokenizer_nbytes = header.tokenizer_nbytes;
	pack->weights = (char *) pack->map + header.weights_offset;
	return true;
}

/*
 * Map a pack by name. With identity: only if the file is still that one, which was
 * found whole before. Without: look at every byte. False where it is missing or not
 * good.
 */
static bool
open_pack(BertPack *pack, const char *name, const char *identity, char **new_identity)
{
	char *path = bert_cache_path("packs/%s", name);
	int fd = OpenTransientFile(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	bool good;

	if (fd < 0)
		return false;
	good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	if (good && identity != NULL)
		good = strcmp(bert_file_identity(&st), identity) == 0;
	good = good && map_pack(pack, fd, &st);
	CloseTransientFile(fd);
	if (good && identity == NULL && !data_is_good((PackHeader *) pack->map, pack->map))
	{
		bert_pack_close(pack);
		good = false;
	}
	if (!good)
		ereport(LOG_SERVER_ONLY, /* no client learns the path */
				errmsg("a pack in the cache of bert is damaged or outdated"),
				errdetail("The file is \"%s\".", path));
	else if (new_identity != NULL)
		*new_identity = bert_file_identity(&st);
	return good;
}

/* ---- the index: models/NAME@fp32 ---- */

/*
 *	bert index 1
 *	server start
 *	pack's name
 *	pack's identity
 *	state of the model's files (many lines)
 */
static char *
index_path(const char *model)
{
	char directory[BERT_HASH_LEN];

	bert_cache_hash(bert_model_directory_path(), directory);
	return bert_cache_path("models/%s@%s-%.8s", model, PRECISION, directory);
}

static char *
next_line(char **rest)
{
	char *line = *rest != NULL ? strsep(rest, "\n") : NULL;

	return line != NULL ? line : "";
}

/* True, with the pack mapped, where the index tells that nothing has changed. */
static bool
open_by_index(BertPack *pack, const char *model, const char *state)
{
	size_t nbytes;
	char *rest = bert_cache_read(index_path(model), &nbytes);
	char *start;
	char *name;
	char *identity;

	if (rest == NULL || strcmp(next_line(&rest), "bert index 1") != 0)
		return false;
	start = next_line(&rest);
	name = next_line(&rest);
	identity = next_line(&rest);
	if (rest == NULL || strcmp(rest, state) != 0 ||
		strcmp(start, bert_server_start()) != 0 || strchr(name, '/') != NULL)
		return false;
	return open_pack(pack, name, identity, NULL);
}

static void
write_index(const char *model, const char *name, const char *identity,
			const char *state)
{
	char *text = psprintf("bert index 1\n%s\n%s\n%s\n%s", bert_server_start(), name,
						  identity, state);

	bert_cache_write(index_path(model), text, strlen(text));
}

/* True where an index names the pack. */
static bool
is_named_in(const char *directory, const char *pack)
{
	DIR *dir = AllocateDir(directory);
	struct dirent *entry;
	bool found = false;

	while (dir != NULL && !found &&
		   (entry = ReadDirExtended(dir, directory, LOG)) != NULL)
	{
		size_t nbytes;
		char *text;

		if (entry->d_name[0] == '.' || strstr(entry->d_name, ".tmp") != NULL)
			continue;
		text = bert_cache_read(psprintf("%s/%s", directory, entry->d_name), &nbytes);
		found = text != NULL && strstr(text, pack) != NULL;
	}
	if (dir != NULL)
		FreeDir(dir);
	return found;
}

/* Under the lock: remove packs that no model has any more, and unfinished ones. */
static void
sweep_packs(void)
{
	char *packs = bert_cache_path("packs");
	char *models = bert_cache_path("models");
	DIR *dir = AllocateDir(packs);
	struct dirent *entry;

	while (dir != NULL && (entry = ReadDirExtended(dir, packs, LOG)) != NULL)
		if (entry->d_name[0] != '.' && !is_named_in(models, entry->d_name))
			(void) unlink(psprintf("%s/%s", packs, entry->d_name));
	if (dir != NULL)
		FreeDir(dir);
}

/* ---- making a pack ---- */

/* Bytes on their way into a pack, in order; gaps become zeros. */
typedef struct PackWriter
{
	int fd;
	uint64 start; /* of the current section, from the start of the file */
	uint64 at;    /* written so far */
	pg_crc32c crc;
} PackWriter;

static void
write_bytes(PackWriter *writer, const void *data, size_t nbytes)
{
	const char *from = data;

	while (nbytes > 0)
	{
		ssize_t n;

		CHECK_FOR_INTERRUPTS();
		n = write(writer->fd, from, Min(nbytes, CHUNK));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			ereport(ERROR, errcode_for_file_access(),
					errmsg("could not write to the cache directory of bert: %m"),
					errhint("See the setting \"bert.cache_directory\"."));
		COMP_CRC32C(writer->crc, from, n);
		writer->at += n;
		from += n;
		nbytes -= n;
	}
}

static void
write_zeros(PackWriter *writer, uint64 until)
{
	static const char zeros[4096];

	while (writer->at < until)
		write_bytes(writer, zeros, Min(sizeof(zeros), until - writer->at));
}

static void
write_weights(void *arg, size_t offset, const void *data, size_t nbytes)
{
	PackWriter *writer = arg;

	write_zeros(writer, writer->start + offset);
	write_bytes(writer, data, nbytes);
}

/* Begin a section at the next page. */
static uint64
begin_section(PackWriter *writer)
{
	write_zeros(writer, TYPEALIGN(4096, writer->at));
	writer->start = writer->at;
	return writer->start;
}

static void
write_header(PackWriter *writer, PackHeader *header)
{
	memcpy(header->magic, MAGIC, sizeof(header->magic));
	header->version = BERT_PACK_VERSION;
	header->byte_order = 0x01020304;
	header->header_size = sizeof(PackHeader);
	header->panel = BERT_PANEL;
	header->file_nbytes = writer->at;
	header->data_crc = writer->crc;
	FIN_CRC32C(header->data_crc);
	header->header_crc = header_crc(header);
	if (pwrite(writer->fd, header, sizeof(*header), 0) != sizeof(*header))
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not write to the cache directory of bert: %m"));
}

static void
fill_pack(PackWriter *writer, const BertModelFiles *files)
{
	BertWeightsLayout *layout = bert_weights_layout(&files->config, &files->recipe);
	PackHeader *header = palloc0(sizeof(PackHeader));
	size_t block_nbytes;
	void *block = bert_tokenizer_compile(&files->tokenizer, &block_nbytes);

	header->config = files->config;
	header->recipe = files->recipe;
	header->tokenizer_nbytes = block_nbytes;
	header->weights_nbytes = layout->nbytes;
	bert_cache_require_space(DATA_START + block_nbytes + layout->nbytes);
	if (ftruncate(writer->fd, DATA_START) != 0 ||
		lseek(writer->fd, DATA_START, SEEK_SET) != DATA_START)
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not write to the cache directory of bert: %m"));
	writer->at = DATA_START;
	INIT_CRC32C(writer->crc);
	header->tokenizer_offset = begin_section(writer);
	write_bytes(writer, block, block_nbytes);
	header->weights_offset = begin_section(writer);
	bert_weights_pack(files, layout, write_weights, writer);
	write_zeros(writer, writer->start + layout->nbytes);
	write_header(writer, header);
}

static void
make_pack(const char *name, const BertModelFiles *files)
{
	char *path = bert_cache_path("packs/%s", name);
	char *temporary;
	PackWriter writer = {.fd = bert_cache_create(path, &temporary)};

	PG_TRY();
	{
		fill_pack(&writer, files);
		bert_cache_commit(writer.fd, temporary, path);
	}
	PG_CATCH();
	{
		(void) unlink(temporary);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* ---- from a model directory to its pack ---- */

/* SHA-256 over names and contents of all files. */
static char *
content_hash(const BertModelFiles *files)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	uint8 *chunk = palloc(CHUNK);
	char *hex = palloc(BERT_HASH_LEN);
	bool good = pg_cryptohash_init(context) >= 0;

	for (int i = 0; good && i < files->n_files; i++)
	{
		const BertModelFile *file = &files->files[i];
		char *title = psprintf("%s %lld\n", file->name, (long long) file->nbytes);
		ssize_t n;

		if (file->fd < 0)
			continue;
		good = pg_cryptohash_update(context, (uint8 *) title, strlen(title)) >= 0;
		for (off_t at = 0; good && (n = pread(file->fd, chunk, CHUNK, at)) != 0;
			 at += n)
		{
			CHECK_FOR_INTERRUPTS();
			if (n < 0)
				ereport(ERROR, errcode_for_file_access(),
						errmsg("could not read file \"%s\" of model \"%s\": %m",
							   file->name, files->name));
			good = pg_cryptohash_update(context, chunk, n) >= 0;
		}
	}
	if (!good || pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(context));
	pg_cryptohash_free(context);
	for (int i = 0; i < (BERT_HASH_LEN - 1) / 2; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return hex;
}

static void
close_files(void *arg)
{
	bert_model_files_close(arg);
}

/* The model's open files, closed when the current memory context goes. */
static BertModelFiles *
open_files(const char *model)
{
	BertModelFiles *files = palloc0(sizeof(BertModelFiles));
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));
	int root = open_root();

	for (int i = 0; i < BERT_MAX_FILES; i++)
		files->files[i].fd = -1;
	callback->func = close_files;
	callback->arg = files;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	bert_model_files_open(files, root, model);
	CloseTransientFile(root);
	return files;
}

static void
open_or_make(BertPack *pack, const char *model, const char *state)
{
	BertModelFiles *files = open_files(model);
	char *identity = NULL;
	char *state_now;
	char *name;

	bert_model_files_parse(files); /* before the long way, on which others wait */
	name = psprintf("%s-%s-v%d-p%d-%s.pack", content_hash(files), PRECISION,
					BERT_PACK_VERSION, BERT_PANEL, bert_cpu_features());
	if (access(bert_cache_path("packs/%s", name), F_OK) != 0 ||
		!open_pack(pack, name, NULL, &identity))
	{
		make_pack(name, files);
		if (!open_pack(pack, name, NULL, &identity))
			ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("the pack of model \"%s\" is damaged as soon as it is "
						   "written",
						   model),
					errhint("Is the disk of the cache directory failing?"));
	}
	state_now = bert_pack_state(model);
	if (state_now != NULL && strcmp(state, state_now) == 0)
		write_index(model, name, identity, state);
	else
		ereport(ERROR, errcode(ERRCODE_OBJECT_IN_USE),
				errmsg("model \"%s\" was changed while it was read", model),
				errhint("Try again when all of its files are in place."));
}

/* The long way; only one backend goes it at a time. */
static void
open_locked(BertPack *pack, const char *model, const char *state)
{
	int lock = bert_cache_lock("packs");

	if (!open_by_index(pack, model, state))
	{
		open_or_make(pack, model, state);
		sweep_packs();
	}
	bert_cache_unlock(lock);
}

void
bert_pack_open(BertPack *pack, const char *model, const char *state)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(caller, "bert pack", ALLOCSET_DEFAULT_SIZES);

	memset(pack, 0, sizeof(*pack));
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		if (!open_by_index(pack, model, state))
			open_locked(pack, model, state);
	}
	PG_CATCH();
	{
		bert_pack_close(pack);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}
