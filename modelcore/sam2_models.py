"""SAM2's three served networks, and `segment`, which calls them. Sizes that differ between families are -1.

A picture goes through `sam2_encoder` and `sam2_prepare` once, and its prompts, ever so many, through `sam2_decoder`:
the sixty-fourth of a thousand clicks finds everything of the picture that no click changes already computed.
"""

from modelcore.contract import DataType, DynamicBatching, EnsembleStep, GpuProfile, InstanceGroup, ServedModel, Tensor

SAM2_MAX_PICTURES = 4

_ON_GPU = GpuProfile(instances=InstanceGroup(kind="KIND_GPU"))

_EMBEDDING_ABOUT = "what the picture shows, coarsely; the decoder's main input"
_FINE_ABOUT = "at a quarter of the picture's side, for sharp edges"
_MIDDLE_ABOUT = "at an eighth of the picture's side"

# One picture: the first dimension is there for the graph, and 1.
_ONE_EMBEDDING = Tensor("image_embedding", DataType.FP32, (1, -1, -1, -1), "of one picture")
_ONE_FINE = Tensor("features_fine", DataType.FP32, (1, -1, -1, -1), "of one picture")
_ONE_MIDDLE = Tensor("features_middle", DataType.FP32, (1, -1, -1, -1), "of one picture")

_PREPARED = (
    Tensor("image_tokens", DataType.FP32, (-1, -1, -1), "the picture with its earlier masks: masks, positions, size"),
    Tensor("image_keys", DataType.FP32, (-1, -1, -1, -1), "what prompts look for: masks, heads, size, positions"),
    Tensor("image_values", DataType.FP32, (-1, -1, -1, -1), "what prompts read: masks, heads, positions, size"),
    Tensor("image_queries", DataType.FP32, (-1, -1, -1, -1), "what the picture asks: masks, heads, positions, size"),
)

_SAM2_ENCODER = ServedModel(
    name="sam2_encoder",
    backend="onnxruntime",
    about="SAM2's picture features, with the mask decoder's own projections of the finer ones.",
    inputs=(Tensor("pixel_values", DataType.FP32, (3, -1, -1), "stretched to the family's square and normalised"),),
    outputs=(
        Tensor("image_embedding", DataType.FP32, (-1, -1, -1), _EMBEDDING_ABOUT),
        Tensor("features_fine", DataType.FP32, (-1, -1, -1), _FINE_ABOUT),
        Tensor("features_middle", DataType.FP32, (-1, -1, -1), _MIDDLE_ABOUT),
    ),
    max_batch_size=SAM2_MAX_PICTURES,
    batching=DynamicBatching(),
    instances=InstanceGroup(),
    gpu=_ON_GPU,
)
_SAM2_PREPARE = ServedModel(
    name="sam2_prepare",
    backend="onnxruntime",
    about="What SAM2's decoder computes of a picture whatever the prompt. Once per picture, or per earlier masks.",
    inputs=(
        _ONE_EMBEDDING,
        Tensor("mask_input", DataType.FP32, (-1, 1, -1, -1), "earlier masks, as the decoder gave them; zeros for none"),
        Tensor("has_mask", DataType.BOOL, (-1,), "for each of them whether it counts; one false: no earlier masks"),
    ),
    outputs=_PREPARED,
    # One picture with many masks: the tensors have different first dimensions, which no batcher can stack.
    max_batch_size=0,
    instances=InstanceGroup(),
    gpu=_ON_GPU,
)
_SAM2_DECODER = ServedModel(
    name="sam2_decoder",
    backend="onnxruntime",
    about="Prompts on one prepared picture to masks: all four of each prompt, the single one first.",
    inputs=(
        *_PREPARED,
        _ONE_FINE,
        _ONE_MIDDLE,
        Tensor("points", DataType.FP32, (-1, -1, 2), "x and y in the network's pixels: prompts, points, 2"),
        Tensor(
            "labels",
            DataType.INT64,
            (-1, -1),
            "1 on the thing, 0 beside it, 2 and 3 a box's top left and bottom right, -1 nowhere",
        ),
    ),
    outputs=(
        Tensor("masks", DataType.FP32, (-1, 4, -1, -1), "logits at the decoder's size: prompts, 4, height, width"),
        Tensor("iou_scores", DataType.FP32, (-1, 4), "how good the network thinks each mask is"),
        Tensor("object_scores", DataType.FP32, (-1, 1), "logit of whether there is anything under the prompt"),
    ),
    # One picture with many prompts, as for sam2_prepare: the prompts of a call are its batch.
    max_batch_size=0,
    instances=InstanceGroup(),
    gpu=_ON_GPU,
)

SAM2_MODELS: tuple[ServedModel, ...] = (_SAM2_ENCODER, _SAM2_PREPARE, _SAM2_DECODER)

_ONE = (1,)
# One click on a picture that stays the same: the encoder, which is dear, sees it once and the decoder every time.
SEGMENT_PROBE = ServedModel(
    name="segment",
    backend="ensemble",
    about="",
    inputs=(
        Tensor("known_image", DataType.BYTES, _ONE, ""),
        Tensor("points", DataType.FP32, (1, 1, 2), ""),
        Tensor("point_labels", DataType.INT64, (1, 1), ""),
    ),
    outputs=(),
    max_batch_size=0,
    steps=(EnsembleStep("segment", {"image": "known_image", "points": "points", "point_labels": "point_labels"}, {}),),
)

SEGMENT = ServedModel(
    name="segment",
    backend="python",
    about="What is where in a picture: what points and boxes mean, or everything there is.",
    inputs=(
        Tensor("image", DataType.BYTES, _ONE, "an encoded picture: PNG, JPEG or WebP"),
        Tensor("points", DataType.FP32, (-1, -1, 2), "x and y in the picture's pixels: prompts, points, 2", True),
        Tensor("point_labels", DataType.INT64, (-1, -1), "1 on the thing, 0 beside it, -1 no point", True),
        Tensor("boxes", DataType.FP32, (-1, 4), "x0, y0, x1, y1 in the picture's pixels, one for each prompt", True),
        Tensor("mask_input", DataType.FP32, (-1, -1, -1), "earlier low_res_masks, one for each prompt", True),
        Tensor("multimask", DataType.BOOL, _ONE, "three guesses for each prompt (so it is), or one", True),
        Tensor("polygon_tolerance", DataType.FP32, _ONE, "pixels a polygon may leave its outline; 0: none; 1", True),
        # For automatic masks. Names and meaning are those of Meta's generator; a family may have its own defaults.
        Tensor("points_per_side", DataType.INT32, _ONE, "of the grid of clicks; 32", True),
        Tensor("points_per_batch", DataType.INT32, _ONE, "clicks in one call of the network; 64", True),
        Tensor("pred_iou_thresh", DataType.FP32, _ONE, "least IoU that the network expects; 0.8", True),
        Tensor("stability_score_thresh", DataType.FP32, _ONE, "least stability; 0.95", True),
        Tensor("stability_score_offset", DataType.FP32, _ONE, "in logits, to either side of the edge; 1", True),
        Tensor("mask_threshold", DataType.FP32, _ONE, "the logit above which a pixel is inside; 0", True),
        Tensor("box_nms_thresh", DataType.FP32, _ONE, "IoU of boxes above which two masks are one; 0.7", True),
        Tensor("crop_n_layers", DataType.INT32, _ONE, "look again at 4, then 16 crops of the picture; 0", True),
        Tensor("crop_nms_thresh", DataType.FP32, _ONE, "as box_nms_thresh, between crops; 0.7", True),
        Tensor("crop_overlap_ratio", DataType.FP32, _ONE, "of crops, as a share of the shorter side; 512/1500", True),
        Tensor("crop_n_points_downscale_factor", DataType.INT32, _ONE, "fewer clicks on a layer's crops; 1", True),
        Tensor("min_mask_region_area", DataType.INT32, _ONE, "smaller islands and holes are removed; 0", True),
    ),
    outputs=(
        Tensor("regions", DataType.BYTES, _ONE, "a JSON list with all that is known of each region"),
        Tensor("masks", DataType.BYTES, (-1,), "JSON each: COCO's compressed run lengths"),
        Tensor("scores", DataType.FP32, (-1,), "the IoU that the network expects of each mask"),
        Tensor("boxes", DataType.FP32, (-1, 4), "left, top, width and height in the picture's pixels"),
        Tensor("areas", DataType.INT64, (-1,), "pixels"),
        Tensor("low_res_masks", DataType.FP32, (-1, -1, -1), "logits to give as mask_input; none of automatic masks"),
    ),
    # A request is a picture with any number of prompts; its thread asks the networks, where requests meet again.
    max_batch_size=0,
    instances=InstanceGroup(kind="KIND_CPU"),
    parameters={"embedding_cache_bytes": str(512 * 1024 * 1024)},
    why={"instances": "one, so that all requests share its pictures; it has threads, and the networks run elsewhere"},
)
