#include "interop/lwm2m/tlv.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

#include <fmt/format.h>

namespace penstock::interop::lwm2m {
namespace {

// Bits 7-6 of the type byte (table 7.4.3-1).
enum Kind : uint8_t { kInstance = 0, kResourceInstance = 1, kMultiple = 2, kResource = 3 };

struct Item {
  Kind kind = kInstance;
  uint16_t id = 0;
  ByteView value;
};

tl::unexpected<Error> not_tlv(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("the TLV payload is broken: {}", why));
}

uint8_t at(ByteView bytes, size_t index) { return static_cast<uint8_t>(bytes[index]); }

// Takes one item off the front.
Result<Item> take(ByteView& bytes) {
  const uint8_t type = at(bytes, 0);
  const size_t id_bytes = (type & 0x20) != 0 ? 2 : 1;
  const size_t length_bytes = type >> 3 & 3;
  if (bytes.size() < 1 + id_bytes + length_bytes) return not_tlv("it ends within a header");
  Item item;
  item.kind = static_cast<Kind>(type >> 6);
  size_t pos = 1;
  for (size_t i = 0; i < id_bytes; ++i)
    item.id = static_cast<uint16_t>(item.id << 8 | at(bytes, pos++));
  size_t length = type & 7;
  if (length_bytes > 0) {
    length = 0;
    for (size_t i = 0; i < length_bytes; ++i) length = length << 8 | at(bytes, pos++);
  }
  if (bytes.size() - pos < length) return not_tlv("a value is longer than the payload");
  item.value = bytes.subspan(pos, length);
  bytes = bytes.subspan(pos + length);
  return item;
}

std::optional<int64_t> big_endian(ByteView bytes, bool is_signed) {
  if (bytes.empty() || bytes.size() > 8) return std::nullopt;
  uint64_t raw = is_signed && (at(bytes, 0) & 0x80) != 0 ? ~0ULL : 0;
  for (size_t i = 0; i < bytes.size(); ++i) raw = raw << 8 | at(bytes, i);
  return static_cast<int64_t>(raw);
}

Result<Value> read_value(ByteView bytes, DataType type) {
  Value value;
  value.type = type;
  switch (type) {
    case DataType::kInteger:
    case DataType::kTime:
    case DataType::kUnsigned: {
      const auto number = big_endian(bytes, type != DataType::kUnsigned);
      if (!number) return not_tlv("an integer has 1 to 8 bytes");
      value.integer = *number;
      return value;
    }
    case DataType::kFloat: {
      const auto raw = big_endian(bytes, false);
      if (bytes.size() == 4)
        value.number = std::bit_cast<float>(static_cast<uint32_t>(*raw));
      else if (bytes.size() == 8)
        value.number = std::bit_cast<double>(*raw);
      else
        return not_tlv("a float has 4 or 8 bytes");
      return value;
    }
    case DataType::kBoolean:
      if (bytes.size() != 1 || at(bytes, 0) > 1) return not_tlv("a boolean is one byte, 0 or 1");
      value.integer = at(bytes, 0);
      return value;
    case DataType::kObjlnk: {
      const auto raw = big_endian(bytes, false);
      if (bytes.size() != 4) return not_tlv("an object link has 4 bytes");
      value.text = fmt::format("{}:{}", *raw >> 16, *raw & 0xffff);
      return value;
    }
    case DataType::kString:
    case DataType::kCorelnk:
      value.text = as_text(bytes);
      return value;
    case DataType::kNone:
    case DataType::kOpaque:
      break;
  }
  value.type = DataType::kOpaque;
  value.text = as_text(bytes);
  return value;
}

class Decoder {
 public:
  Decoder(const TypeSource& types, const ContentLimits& limits, std::vector<Entry>& out)
      : types_(types), limits_(limits), room_(limits.entries_max), out_(out) {}

  Status read(ByteView bytes, const Path& base) {
    while (!bytes.empty()) {
      TRY_ASSIGN(const Item item, take(bytes));
      TRY(read_item(item, base));
    }
    return {};
  }

 private:
  // Only levels that differ recurse: instance, multiple resource, resource instance.
  Status read_item(const Item& item, const Path& base) {
    if (item.id == 65535) return not_tlv("65535 is not an id");
    switch (item.kind) {
      case kInstance:
        if (base.depth == 0 || base.depth > 2) return not_tlv("an object instance is out of place");
        return read(item.value, base.first(1).child(item.id));
      case kMultiple:
        if (base.depth < 2) return read_multiple(item, base.child(0));
        return read_multiple(item, base.first(2));
      case kResource: {
        // An object with one instance may leave the instance out (7.4.3).
        const Path instance = base.depth < 2 ? base.child(0) : base.first(2);
        return add(item.value, instance.child(item.id));
      }
      case kResourceInstance:
        if (base.depth < 3) return not_tlv("a resource instance is out of place");
        return add(item.value, base.first(3).child(item.id));
    }
    return not_tlv("of no kind");
  }

  Status read_multiple(const Item& item, const Path& instance) {
    if (instance.depth != 2) return not_tlv("a resource is out of place");
    return read(item.value, instance.child(item.id));
  }

  Status add(ByteView bytes, const Path& path) {
    if (path.depth < 3) return not_tlv("a resource is out of place");
    if (room_-- == 0)
      return fail(ErrorCode::kResourceExhausted, "the payload has more values than are taken");
    if (bytes.size() > limits_.text_bytes_max)
      return fail(ErrorCode::kResourceExhausted, "a value is larger than is taken", path.text());
    auto value = read_value(bytes, types_.type_of(path.object(), path.resource()));
    if (!value) {
      value.error().about = path.text();
      return fail(std::move(value).error());
    }
    out_.push_back({path, *std::move(value), 0});
    return {};
  }

  const TypeSource& types_;
  const ContentLimits& limits_;
  size_t room_;
  std::vector<Entry>& out_;
};

// -- writing

void put_number(Bytes& out, uint64_t number, size_t bytes) {
  for (size_t i = bytes; i > 0; --i) out.push_back(static_cast<std::byte>(number >> 8 * (i - 1)));
}

void put_item(Bytes& out, Kind kind, uint16_t id, ByteView value) {
  const size_t length = value.size();
  const unsigned length_bytes = length < 8 ? 0 : length < 256 ? 1 : length < 65'536 ? 2 : 3;
  const unsigned wide = id > 255 ? 0x20 : 0;
  out.push_back(static_cast<std::byte>(static_cast<unsigned>(kind) << 6 | wide | length_bytes << 3 |
                                       (length_bytes == 0 ? static_cast<unsigned>(length) : 0U)));
  put_number(out, id, wide != 0 ? 2 : 1);
  if (length_bytes > 0) put_number(out, length, length_bytes);
  append_bytes(out, value);
}

template <class Small>
bool fits(int64_t number) {
  return number >= std::numeric_limits<Small>::min() && number <= std::numeric_limits<Small>::max();
}

Status put_value(Bytes& out, const Value& value) {
  switch (value.type) {
    case DataType::kInteger:
    case DataType::kTime: {
      const int64_t n = value.integer;
      put_number(out, static_cast<uint64_t>(n),
                 fits<int8_t>(n)    ? 1
                 : fits<int16_t>(n) ? 2
                 : fits<int32_t>(n) ? 4
                                    : 8);
      return {};
    }
    case DataType::kUnsigned: {
      const auto n = static_cast<uint64_t>(value.integer);
      put_number(out, n, n < 256 ? 1 : n < 65'536 ? 2 : n <= 0xffff'ffffU ? 4 : 8);
      return {};
    }
    case DataType::kFloat:
      if (static_cast<double>(static_cast<float>(value.number)) == value.number)
        put_number(out, std::bit_cast<uint32_t>(static_cast<float>(value.number)), 4);
      else
        put_number(out, std::bit_cast<uint64_t>(value.number), 8);
      return {};
    case DataType::kBoolean:
      put_number(out, value.integer != 0 ? 1 : 0, 1);
      return {};
    case DataType::kObjlnk: {
      std::string both = value.text;
      std::ranges::replace(both, ':', '/');
      const auto ids = Path::parse(both);
      if (!ids || ids->depth != 2)
        return fail(ErrorCode::kInvalidArgument, "an object link is written as 3303:0", value.text);
      put_number(out, static_cast<uint32_t>(ids->ids[0]) << 16 | ids->ids[1], 4);
      return {};
    }
    case DataType::kString:
    case DataType::kCorelnk:
    case DataType::kOpaque:
    case DataType::kNone:
      append_bytes(out, as_bytes(value.text));
      return {};
  }
  return {};
}

// All entries of one instance.
Status put_resources(std::span<const Entry> entries, Bytes& out) {
  while (!entries.empty()) {
    const Path resource = entries.front().path.first(3);
    if (resource.depth != 3)
      return fail(ErrorCode::kInvalidArgument, "a value belongs to a resource",
                  entries.front().path.text());
    size_t count = 1;
    while (count < entries.size() && entries[count].path.first(3) == resource) ++count;
    Bytes inner;
    if (entries.front().path.depth == 4) {
      for (const Entry& entry : entries.first(count)) {
        Bytes bytes;
        TRY(put_value(bytes, entry.value));
        put_item(inner, kResourceInstance, entry.path.ids[3], bytes);
      }
      put_item(out, kMultiple, resource.resource(), inner);
    } else {
      TRY(put_value(inner, entries.front().value));
      put_item(out, kResource, resource.resource(), inner);
    }
    entries = entries.subspan(count);
  }
  return {};
}

}  // namespace

Status decode_tlv(ByteView bytes, const Path& base, const TypeSource& types,
                  const ContentLimits& limits, std::vector<Entry>& out) {
  if (base.depth == 0) return not_tlv("it cannot say which object it is about");
  return Decoder(types, limits, out).read(bytes, base);
}

Status encode_tlv(std::span<const Entry> entries, const Path& base, Bytes& out) {
  for (const Entry& entry : entries)
    if (base.depth == 0 || !entry.path.within(base))
      return fail(ErrorCode::kInvalidArgument, "a value lies outside of what is written",
                  entry.path.text());
  if (base.depth >= 2) return put_resources(entries, out);
  while (!entries.empty()) {
    const Path instance = entries.front().path.first(2);
    size_t count = 1;
    while (count < entries.size() && entries[count].path.first(2) == instance) ++count;
    Bytes inner;
    TRY(put_resources(entries.first(count), inner));
    put_item(out, kInstance, instance.instance(), inner);
    entries = entries.subspan(count);
  }
  return {};
}

}  // namespace penstock::interop::lwm2m
