"""What can be refused of a recipe of stages 2 and 3 before anything is read; a dry run asks it as well."""

from encoder.config import EncoderConfig
from encoder.errors import ConfigError
from train.settings import ContrastiveRecipe, SimcseRecipe


def check_recipe(recipe: SimcseRecipe | ContrastiveRecipe) -> None:
    """Refuses what would only come out later.

    Raises:
        ConfigError: the best checkpoint goes by what is not measured; there are no pairs; or more checkpoints are
            averaged than made or kept.
    """
    if isinstance(recipe, ContrastiveRecipe):
        _check_pairs(recipe)
        _check_soup(recipe)
    _check_best_by(recipe)


def need_memory(config: EncoderConfig, name: str) -> None:
    """Refuses an encoder that has no memory tokens: these stages read their states.

    Raises:
        ConfigError: there are none.
    """
    if not config.n_memory:
        raise ConfigError(
            f"The encoder {name} has no memory tokens (pooling {config.pooling}), and this stage trains their states.",
            "encoder",
            'name an encoder that `llm2comp train compress` made with another objective than "mntp"',
        )


def _check_pairs(recipe: ContrastiveRecipe) -> None:
    if not recipe.pairs:
        raise ConfigError("The recipe names no pairs.", "pairs", "add a [[pairs]] section")


def _check_soup(recipe: ContrastiveRecipe) -> None:
    made = -(-recipe.schedule.steps // recipe.watch.evaluate_steps)
    if recipe.soup > recipe.watch.keep:
        raise ConfigError(
            f"soup averages {recipe.soup} checkpoints, watch.keep keeps {recipe.watch.keep}",
            "soup",
            f"set watch.keep to {recipe.soup}, or soup to {recipe.watch.keep}",
        )
    if recipe.soup > made:
        raise ConfigError(
            f"soup averages {recipe.soup} checkpoints, and {recipe.schedule.steps} steps make {made}, one every "
            f"{recipe.watch.evaluate_steps}",
            "soup",
            f"lower watch.evaluate_steps, or set soup to {made}",
        )


def _check_best_by(recipe: SimcseRecipe | ContrastiveRecipe) -> None:
    if recipe.watch.best_by == "held_out_loss":
        raise ConfigError(
            "The best checkpoint goes by held_out_loss, which only `train pretrain` and `train compress` measure.",
            "watch.best_by",
            'set watch.best_by to "known_items" or "last"',
        )
    if recipe.watch.best_by == "last":
        return
    held_out = {"watch.known_items": recipe.watch.known_items, **_held_out(recipe)}
    for name, count in held_out.items():
        if count < 2:
            raise ConfigError(
                f"{name} is {count}, and the best checkpoint is the one that finds most known items.",
                name,
                f'set {name} to 200, or watch.best_by to "last"',
            )


def _held_out(recipe: SimcseRecipe | ContrastiveRecipe) -> dict[str, int]:
    """What known items are made of: pairs, or where none are held out the halves of texts."""
    if isinstance(recipe, ContrastiveRecipe) and (recipe.held_out or recipe.texts is None):
        return {"held_out": recipe.held_out}
    return {"texts.held_out": recipe.texts.held_out if recipe.texts else 0}
