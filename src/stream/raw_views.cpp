#include "stream/raw_views.h"

namespace penstock::stream {
namespace {

size_t weight(const DeadLetter& letter) {
  return sizeof letter + letter.device.size() + letter.topic.size() + letter.reason.size() +
         letter.payload.size();
}

size_t weight(const DiscoverySample& sample) {
  return sizeof sample + sample.topic.size() + sample.payload.size();
}

}  // namespace

// The first one stays: it shows what the device said when it was new.
void RawViews::add_sample(DiscoveredDevice& device, DiscoverySample sample) {
  sample.payload.resize(std::min(sample.payload.size(), limits_.sample_bytes_max));
  sample_bytes_ += weight(sample);
  device.samples.push_back(std::move(sample));
  const size_t keep = sample_bytes_ > limits_.samples_bytes_max ? 1 : limits_.samples_max;
  while (device.samples.size() > std::max<size_t>(1, keep)) {
    const auto out = device.samples.begin() + (keep > 2 ? 1 : 0);
    sample_bytes_ -= weight(*out);
    device.samples.erase(out);
  }
}

uint64_t RawViews::first_offset() const {
  const std::lock_guard lock(mutex_);
  uint64_t first = letters_.empty() ? UINT64_MAX : letters_.front().id;
  for (const auto& [key, device] : discovered_) first = std::min(first, device.first_offset);
  return first;
}

void RawViews::add_dead_letter(DeadLetter letter) {
  letter_bytes_ += weight(letter);
  letters_.push_back(std::move(letter));
  while (letters_.size() > limits_.dead_letters_max ||
         letter_bytes_ > limits_.dead_letter_bytes_max) {
    letter_bytes_ -= weight(letters_.front());
    letters_.pop_front();
  }
}

void RawViews::apply(RecordType type, uint64_t at, ByteView body) {
  if (type != RecordType::kDeadLetter && type != RecordType::kDiscovery) return;
  const auto raw = decode_raw(body);
  if (!raw) return;
  const std::lock_guard lock(mutex_);
  if (type == RecordType::kDeadLetter) {
    ++letter_counts_[raw->organisation];
    add_dead_letter({at, raw->organisation, raw->received, std::string(raw->device),
                     std::string(raw->topic), std::string(raw->reason), std::string(raw->payload)});
    return;
  }
  const Key key{raw->organisation, std::string(raw->device)};
  auto it = discovered_.find(key);
  if (it == discovered_.end()) {
    if (discovered_.size() >= limits_.discovered_max)
      return;  // the metric and the journal still have it
    it = discovered_.emplace(key, DiscoveredDevice{}).first;
    it->second.organisation = raw->organisation;
    it->second.device = raw->device;
    it->second.first_seen = raw->received;
    it->second.first_offset = at;
  }
  DiscoveredDevice& device = it->second;
  device.last_seen = raw->received;
  ++device.messages;
  device.topic = raw->topic;
  device.sample_payload = raw->payload.substr(0, limits_.sample_bytes_max);
  add_sample(device, {raw->received, std::string(raw->topic), std::string(raw->payload)});
}

Result<std::vector<DeadLetter>> RawViews::dead_letters(const Filter& filter, size_t limit) {
  const std::lock_guard lock(mutex_);
  std::vector<DeadLetter> out;
  for (auto it = letters_.rbegin(); it != letters_.rend() && out.size() < limit; ++it) {
    if (it->id >= filter.before || it->organisation != filter.organisation) continue;
    if (!filter.device.empty() && it->device != filter.device) continue;
    if (!filter.reason.empty() && it->reason.find(filter.reason) == std::string::npos) continue;
    out.push_back(*it);
  }
  return out;
}

uint64_t RawViews::dead_letter_count(OrganisationId organisation) {
  const std::lock_guard lock(mutex_);
  const auto it = letter_counts_.find(organisation);
  return it == letter_counts_.end() ? 0 : it->second;
}

Result<std::vector<DiscoveredDevice>> RawViews::discovered(OrganisationId organisation,
                                                           std::string_view after, size_t limit) {
  const std::lock_guard lock(mutex_);
  std::vector<DiscoveredDevice> out;
  for (auto it = discovered_.upper_bound(Key{organisation, std::string(after)});
       it != discovered_.end() && it->first.first == organisation && out.size() < limit; ++it)
    out.push_back(it->second);
  return out;
}

Result<DiscoveredDevice> RawViews::discovered_device(OrganisationId organisation,
                                                     std::string_view device) {
  const std::lock_guard lock(mutex_);
  const auto it = discovered_.find(Key{organisation, std::string(device)});
  if (it == discovered_.end())
    return fail(ErrorCode::kNotFound, "no unregistered device of that name has spoken",
                std::string(device));
  return it->second;
}

uint64_t RawViews::discovered_count(OrganisationId organisation) {
  const std::lock_guard lock(mutex_);
  uint64_t count = 0;
  for (auto it = discovered_.lower_bound(Key{organisation, {}});
       it != discovered_.end() && it->first.first == organisation; ++it)
    ++count;
  return count;
}

Status RawViews::dismiss(OrganisationId organisation, std::string_view device) {
  const std::lock_guard lock(mutex_);
  const auto found = discovered_.find(Key{organisation, std::string(device)});
  if (found == discovered_.end())
    return fail(ErrorCode::kNotFound, "no unregistered device of that name has spoken",
                std::string(device));
  for (const DiscoverySample& sample : found->second.samples) sample_bytes_ -= weight(sample);
  discovered_.erase(found);
  return {};
}

// The older form, without samples, begins with a count; no count is this.
constexpr uint32_t kWithSamples = UINT32_MAX;

void RawViews::snapshot(Bytes& out) const {
  const std::lock_guard lock(mutex_);
  append_le<uint32_t>(out, kWithSamples);
  append_le<uint32_t>(out, static_cast<uint32_t>(letters_.size()));
  for (const DeadLetter& l : letters_) {
    append_le<uint64_t>(out, l.id);
    append_le<uint32_t>(out, l.organisation.value);
    append_le<int64_t>(out, l.received.us);
    for (const auto* text : {&l.device, &l.topic, &l.reason, &l.payload}) append_text(out, *text);
  }
  append_le<uint32_t>(out, static_cast<uint32_t>(letter_counts_.size()));
  for (const auto& [organisation, count] : letter_counts_) {
    append_le<uint32_t>(out, organisation.value);
    append_le<uint64_t>(out, count);
  }
  append_le<uint32_t>(out, static_cast<uint32_t>(discovered_.size()));
  for (const auto& [key, d] : discovered_) {
    append_le<uint32_t>(out, d.organisation.value);
    append_le<int64_t>(out, d.first_seen.us);
    append_le<int64_t>(out, d.last_seen.us);
    append_le<uint64_t>(out, d.messages);
    for (const auto* text : {&d.device, &d.topic, &d.sample_payload}) append_text(out, *text);
  }
  snapshot_samples(out);
}

void RawViews::snapshot_samples(Bytes& out) const {
  append_le<uint32_t>(out, static_cast<uint32_t>(discovered_.size()));
  for (const auto& [key, d] : discovered_) {
    append_le<uint32_t>(out, d.organisation.value);
    append_text(out, d.device);
    append_le<uint64_t>(out, d.first_offset);
    append_le<uint32_t>(out, static_cast<uint32_t>(d.samples.size()));
    for (const DiscoverySample& sample : d.samples) {
      append_le<int64_t>(out, sample.received.us);
      append_text(out, sample.topic);
      append_text(out, sample.payload);
    }
  }
}

void RawViews::restore_samples(ByteReader& in) {
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
    const OrganisationId organisation(in.le<uint32_t>());
    const auto found = discovered_.find(Key{organisation, std::string(in.text())});
    const auto first_offset = in.le<uint64_t>();
    if (found != discovered_.end()) found->second.first_offset = first_offset;
    for (auto samples = in.le<uint32_t>(); in.ok() && samples > 0; --samples) {
      DiscoverySample sample;
      sample.received.us = in.le<int64_t>();
      sample.topic = in.text();
      sample.payload = in.text();
      if (found != discovered_.end()) add_sample(found->second, std::move(sample));
    }
  }
}

Status RawViews::restore(ByteView bytes) {
  const std::lock_guard lock(mutex_);
  ByteReader in(bytes);
  auto letters = in.le<uint32_t>();
  const bool with_samples = letters == kWithSamples;
  if (with_samples) letters = in.le<uint32_t>();
  for (auto left = letters; in.ok() && left > 0; --left) {
    DeadLetter l;
    l.id = in.le<uint64_t>();
    l.organisation = OrganisationId(in.le<uint32_t>());
    l.received.us = in.le<int64_t>();
    for (auto* text : {&l.device, &l.topic, &l.reason, &l.payload}) *text = in.text();
    if (in.ok()) add_dead_letter(std::move(l));
  }
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
    const OrganisationId organisation(in.le<uint32_t>());
    letter_counts_[organisation] = in.le<uint64_t>();
  }
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
    DiscoveredDevice d;
    d.organisation = OrganisationId(in.le<uint32_t>());
    d.first_seen.us = in.le<int64_t>();
    d.last_seen.us = in.le<int64_t>();
    d.messages = in.le<uint64_t>();
    for (auto* text : {&d.device, &d.topic, &d.sample_payload}) *text = in.text();
    if (in.ok()) discovered_[{d.organisation, d.device}] = std::move(d);
  }
  if (in.ok() && with_samples) restore_samples(in);
  if (!in.ok() || !in.done())
    return fail(ErrorCode::kCorrupt, "the kept dead letters of the checkpoint end early");
  return {};
}

}  // namespace penstock::stream
