#include "interop/mqtt/bridge_memory.h"

#include "base/crc32c.h"

namespace penstock::interop::mqtt {
namespace {

// Numbers on disk; the broker's own records are below 100.
enum Record : uint8_t {
  kTaken = 100,       // text bridge, u16 id, u8 qos (bit 7: ids are recycled), u32 digest
  kReleased = 101,    // text bridge, u16 id
  kForgotten = 102,   // text bridge
  kSubscribed = 103,  // text bridge, u32 n, n texts
};
constexpr uint8_t kRecycles = 0x80;
constexpr uint32_t kFiltersMax = 1000;

void begin(Bytes& out, Record kind, std::string_view bridge) {
  append_le<uint8_t>(out, kind);
  append_text(out, bridge);
}

}  // namespace

uint32_t BridgeMemory::digest(std::string_view topic, ByteView payload) {
  return crc32c(payload, crc32c(std::as_bytes(std::span(topic))));
}

const BridgeMemory::Entry* BridgeMemory::find(uint16_t id) const {
  if (!known_[id]) return nullptr;
  for (const Entry& entry : recent_)
    if (entry.id == id) return &entry;
  return nullptr;
}

bool BridgeMemory::taken(uint16_t id, uint8_t qos, bool dup, uint32_t digest) const {
  if (qos == 2) return open_[id];
  if (!dup || recycles_) return false;
  const Entry* entry = find(id);
  return entry && entry->digest == digest;
}

void BridgeMemory::note(uint16_t id, uint8_t qos, bool dup, uint32_t digest) {
  if (qos == 2) {
    open_[id] = true;
    return;
  }
  if (known_[id]) {
    if (!dup) recycles_ = true;
    remove(id);
  }
  Entry& slot = recent_[next_++ % kWindow];
  if (slot.id != 0) known_[slot.id] = false;
  slot = {id, digest};
  known_[id] = true;
}

void BridgeMemory::remove(uint16_t id) {
  open_[id] = false;
  if (!known_[id]) return;
  for (Entry& entry : recent_)
    if (entry.id == id) entry = {};
  known_[id] = false;
}

void BridgeMemory::forget() {
  recent_.assign(kWindow, {});
  known_.reset();
  open_.reset();
  recycles_ = false;
  subscribed.clear();
}

bool BridgeMemory::is_record(ByteView body) {
  return !body.empty() && std::to_integer<uint8_t>(body[0]) >= kTaken;
}

std::string_view BridgeMemory::bridge_of(ByteView body) {
  ByteReader in(body);
  (void)in.le<uint8_t>();
  return in.text();
}

void BridgeMemory::taken_record(Bytes& out, std::string_view bridge, uint16_t id, uint8_t qos,
                                uint32_t digest) const {
  begin(out, kTaken, bridge);
  append_le<uint16_t>(out, id);
  append_le<uint8_t>(out, static_cast<uint8_t>(qos | (recycles_ ? kRecycles : 0)));
  append_le<uint32_t>(out, digest);
}

void BridgeMemory::released_record(Bytes& out, std::string_view bridge, uint16_t id) {
  begin(out, kReleased, bridge);
  append_le<uint16_t>(out, id);
}

void BridgeMemory::forgotten_record(Bytes& out, std::string_view bridge) {
  begin(out, kForgotten, bridge);
}

void BridgeMemory::subscribed_record(Bytes& out, std::string_view bridge) const {
  begin(out, kSubscribed, bridge);
  append_le<uint32_t>(out, static_cast<uint32_t>(subscribed.size()));
  for (const std::string& filter : subscribed) append_text(out, filter);
}

void BridgeMemory::replay(ByteView body) {
  ByteReader in(body);
  const auto kind = in.le<uint8_t>();
  (void)in.text();
  switch (kind) {
    case kTaken: {
      const auto id = in.le<uint16_t>();
      const auto qos = in.le<uint8_t>();
      const auto digest = in.le<uint32_t>();
      if (!in.ok()) return;
      note(id, qos & 3, true, digest);
      recycles_ = (qos & kRecycles) != 0;
      return;
    }
    case kReleased:
      if (const auto id = in.le<uint16_t>(); in.ok()) release(id);
      return;
    case kForgotten:
      forget();
      return;
    case kSubscribed: {
      subscribed.clear();
      for (auto left = std::min(in.le<uint32_t>(), kFiltersMax); left > 0 && in.ok(); --left)
        subscribed.emplace_back(in.text());
      return;
    }
    default:
      return;
  }
}

void BridgeMemory::snapshot(Bytes& out) const {
  append_le<uint8_t>(out, recycles_ ? 1 : 0);
  std::vector<Entry> oldest_first;
  for (size_t i = 0; i < kWindow; ++i)
    if (const Entry& entry = recent_[(next_ + i) % kWindow]; entry.id != 0)
      oldest_first.push_back(entry);
  append_le<uint32_t>(out, static_cast<uint32_t>(oldest_first.size()));
  for (const Entry& entry : oldest_first) {
    append_le<uint16_t>(out, entry.id);
    append_le<uint32_t>(out, entry.digest);
  }
  append_le<uint32_t>(out, static_cast<uint32_t>(open_.count()));
  for (size_t id = 0; open_.any() && id < open_.size(); ++id)
    if (open_[id]) append_le<uint16_t>(out, static_cast<uint16_t>(id));
  append_le<uint32_t>(out, static_cast<uint32_t>(subscribed.size()));
  for (const std::string& filter : subscribed) append_text(out, filter);
}

bool BridgeMemory::restore(ByteReader& in) {
  forget();
  const bool recycles = in.le<uint8_t>() != 0;
  for (auto left = in.le<uint32_t>(); left > 0 && in.ok(); --left) {
    const auto id = in.le<uint16_t>();
    note(id, 1, true, in.le<uint32_t>());
  }
  for (auto left = in.le<uint32_t>(); left > 0 && in.ok(); --left) open_[in.le<uint16_t>()] = true;
  for (auto left = in.le<uint32_t>(); left > 0 && in.ok(); --left)
    subscribed.emplace_back(in.text());
  recycles_ = recycles;
  return in.ok();
}

}  // namespace penstock::interop::mqtt
